import Tapestry

extension OpTable {
    static let model: [String: Function] = [
        "matmul": { [matmul(try $0.tensor(0), try $0.tensor(1))] }, "mm": { [matmul(try $0.tensor(0), try $0.tensor(1))] },
        "bmm": { [matmul(try $0.tensor(0), try $0.tensor(1))] }, "mv": { [matmul(try $0.tensor(0), try $0.tensor(1))] },
        "__rmatmul__": { [matmul(try $0.tensor(1), try $0.tensor(0))] },
        "softmax": { [softmax(try typedInput($0), axis: try $0.int(1, "dim"))] },
        "log_softmax": { [logSoftmax(try typedInput($0), axis: try $0.int(1, "dim"))] },
        "nn.functional.linear": { [linear(try $0.tensor(0), try $0.tensor(1), try $0.optionalTensor(2, "bias"))] },
        "nn.functional.embedding": { call in
            try call.allow("padding_idx")
            let table = try call.tensor(0)
            var padding: Int?
            if call.has("padding_idx") { padding = try call.int(9, "padding_idx") }
            if let p = padding, p < 0 { padding = p + table.shape[0] }
            return [embedding(try call.tensor(1), table, paddingIndex: padding)]
        },
        "nn.functional.scaled_dot_product_attention": { call in
            try call.allow("attn_mask", "is_causal", "dropout_p", "enable_gqa", "scale")
            if try call.double(4, "dropout_p", or: 0) != 0 { throw Unsupported("dropout") }
            let q = try call.tensor(0), k = try call.tensor(1), v = try call.tensor(2)
            let mask = try call.optionalTensor(3, "attn_mask")
            let causal = call.bool(5, "is_causal")
            // PyTorch aligns the causal triangle to the first key, the library to the last, which agree for equal lengths.
            if causal && q.shape[q.rank - 2] != k.shape[k.rank - 2] { throw Unsupported("a causal mask that is not square") }
            let scale = call.has("scale") ? try call.double(9, "scale", or: 1) : nil
            func batched(_ x: Tensor) -> Tensor { x.rank == 3 ? x.unsqueezed(0) : x }
            let out = scaledDotProductAttention(batched(q), batched(k), batched(v), mask: mask, causal: causal, scale: scale)
            return [q.rank == 3 ? out.squeezed(0) : out]
        },
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
