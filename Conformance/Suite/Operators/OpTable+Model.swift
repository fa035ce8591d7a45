import Tapestry

extension OpTable {
    static let model: [String: Function] = [
        "matmul": { [matmul(try $0.tensor(0), try $0.tensor(1))] }, "mm": { [matmul(try $0.tensor(0), try $0.tensor(1))] },
        "bmm": { [matmul(try $0.tensor(0), try $0.tensor(1))] }, "mv": { [matmul(try $0.tensor(0), try $0.tensor(1))] },
        "__rmatmul__": { [matmul(try $0.tensor(1), try $0.tensor(0))] },
        "softmax": { [softmax(try typedInput($0), axis: try $0.int(1, "dim"))] },
        "log_softmax": { [logSoftmax(try typedInput($0), axis: try $0.int(1, "dim"))] },
        "nn.functional.linear": { [linear(try $0.tensor(0), try $0.tensor(1), try $0.optionalTensor(2, "bias"))] },
    ]

    static func typedInput(_ call: GoldenCall) throws -> Tensor {
        try call.allow("dim", "dtype")
        let x = try call.tensor(0)
        if case .dtype(let name) = call.value(2, "dtype") {
            guard let type = GoldenFile.dtype(name) else { throw Unsupported("type \(name)") }
            return x.to(type)
        }
        return x
    }
}
