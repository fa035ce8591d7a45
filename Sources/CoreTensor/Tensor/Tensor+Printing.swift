#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension Tensor: CustomStringConvertible {
    /// The elements in rows, large tensors summarised, then shape and type: `Tensor([[1, 2], [3, 4]], float32)`.
    public var description: String {
        if isBatched { return "Tensor(shape: \(shape), \(dtype), one example of vmap)" }
        let edge = count > 1000 ? 3 : Tensor.wholeAxis
        let shown = summarised(edge)
        var lines: [String] = []
        let width = dtype == .bool ? 0 : shown.values.map(\.count).max() ?? 0
        let padded = shown.values.map { String(repeating: " ", count: Swift.max(width - $0.count, 0)) + $0 }
        var next = 0
        func render(_ axis: Int, _ indent: Int) -> String {
            if axis == rank {
                defer { next += 1 }
                return padded[next]
            }
            let size = shape[axis]
            let cut = size > 2 * edge && edge != Tensor.wholeAxis
            let parts: [String] =
                (cut ? 2 * edge : size) == 0 ? [] : (0..<(cut ? 2 * edge : size)).map { _ in render(axis + 1, indent + 1) }
            let separator = axis == rank - 1 ? ", " : ",\n" + String(repeating: " ", count: indent + 1)
            if cut {
                return "[" + (parts[..<edge] + ["..."] + parts[edge...]).joined(separator: separator) + "]"
            }
            return "[" + parts.joined(separator: separator) + "]"
        }
        lines.append(render(0, 7))
        var facts = ["\(dtype)"]
        if count == 0 || rank > 1 || edge != Tensor.wholeAxis { facts.insert("shape: \(shape)", at: 0) }
        if device != .cpu { facts.append("device: \(device)") }
        if let gradFn { facts.append("gradFn: \(gradFn.name)") } else if requiresGrad { facts.append("requiresGrad") }
        return "Tensor(" + lines.joined() + ", " + facts.joined(separator: ", ") + ")"
    }

    /// An edge longer than any axis: nothing is left out.
    private static let wholeAxis = Int.max / 4

    /// The elements to print, formatted alike: only the edges of long axes.
    private func summarised(_ edge: Int) -> (values: [String], shape: Shape) {
        var part = detached()
        if edge != Tensor.wholeAxis {
            for axis in 0..<rank where shape[axis] > 2 * edge {
                part = concatenate(
                    [
                        part.narrowed(axis: axis, start: 0, length: edge),
                        part.narrowed(axis: axis, start: shape[axis] - edge, length: edge),
                    ], axis: axis)
            }
        }
        if dtype == .bool { return (part.scalars(Bool.self).map { "\($0)" }, part.shape) }
        if dtype.isComplex {
            let parts = part.viewAsReal
            let re = Self.format(parts[TensorIndex.ellipsis, 0].scalars(Double.self)),
                im = Self.format(parts[TensorIndex.ellipsis, 1].scalars(Double.self))
            return (zip(re, im).map { $1.hasPrefix("-") ? "\($0)\($1)i" : "\($0)+\($1)i" }, part.shape)
        }
        if dtype.isInteger { return (part.scalars(Int.self).map { "\($0)" }, part.shape) }
        return (Self.format(part.scalars(Double.self)), part.shape)
    }

    /// Four decimals, or exponents where the sizes ask for them; whole numbers without decimals.
    private static func format(_ values: [Double]) -> [String] {
        let finite = values.filter(\.isFinite).map { Swift.abs($0) }
        let largest = finite.max() ?? 0
        let smallest = finite.filter { $0 > 0 }.min() ?? 0
        let whole = finite.allSatisfy { $0 == $0.rounded() } && largest < 1e8
        let scientific = !whole && (largest >= 1e8 || smallest < 1e-4 || (smallest > 0 && largest / smallest > 1e6))
        return values.map { value in
            if value.isNaN { return "nan" }
            if value.isInfinite { return value < 0 ? "-inf" : "inf" }
            let style = whole ? "%.0f." : scientific ? "%.4e" : "%.4f"
            var buffer = [CChar](repeating: 0, count: 64)
            _ = withVaList([value]) { vsnprintf(&buffer, 64, style, $0) }
            return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
    }
}
