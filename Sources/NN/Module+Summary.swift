import CoreTensor

extension Module {
    /// A table of the parameters: name, shape, count, and the totals.
    public func summary() -> String {
        let rows = namedParameters.map { name, parameter in
            (name, "\(parameter.shape)", "\(parameter.count)" + (parameter.requiresGrad ? "" : " (frozen)"))
        }
        let width = max(rows.map(\.0.count).max() ?? 0, 9)
        let shapeWidth = max(rows.map(\.1.count).max() ?? 0, 5)
        func pad(_ s: String, _ n: Int) -> String { s + String(repeating: " ", count: max(n - s.count, 0)) }
        var lines = ["\(pad("parameter", width))  \(pad("shape", shapeWidth))  count"]
        lines += rows.map { "\(pad($0.0, width))  \(pad($0.1, shapeWidth))  \($0.2)" }
        let bytes = parameters.reduce(0) { $0 + $1.count * $1.dtype.byteCount }
        let megabytes = (Double(bytes) / 1e4).rounded() / 100
        lines.append(
            "\(type(of: self)): \(parameterCount()) parameters (\(parameterCount(trainableOnly: true)) trainable), \(megabytes) MB"
        )
        return lines.joined(separator: "\n")
    }
}
