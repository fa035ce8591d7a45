import Tapestry

extension OnnxTable {
    static let attention: [String: OnnxOperator] = [
        "Attention": { try attention($0) },
        "FlexAttention": { call in
            for name in ["score_mod", "mask_mod", "prob_mod"] where call.has(name) {
                throw Unsupported("FlexAttention with \(name)")
            }
            let scale = call.has("scale") ? try call.double("scale", or: 1) : nil
            return scaledDotProductAttention(try call.x(0), try call.x(1), try call.x(2), scale: scale)
        },
        "RotaryEmbedding": { call in
            let x = try call.x(0), isFlat = x.rank == 3
            let q = isFlat ? heads(x, try call.int("num_heads", or: 1)) : x
            let size = q.shape[3], named = try call.int("rotary_embedding_dim", or: 0), width = named == 0 ? size : named
            // The angles' cosines and sines, [batch, 1, length, width / 2].
            func angles(_ i: Int) throws -> Tensor {
                let cache = try call.x(i)
                return (try call.optional(3).map { embedding($0.to(.int64), cache) } ?? cache).unsqueezed(1)
            }
            let (c, s) = (try angles(1), try angles(2)), turned = q.narrowed(axis: 3, start: 0, length: width)
            let isInterleaved = try call.flag("interleaved")
            let halves =
                isInterleaved
                ? turned.unflattened(-1, into: [width / 2, 2]).unstacked(axis: -1) : turned.chunked(2, axis: 3)
            let parts = [halves[0] * c - halves[1] * s, halves[0] * s + halves[1] * c]
            let rotated = isInterleaved ? stack(parts, axis: -1).flattened(from: -2) : concatenate(parts, axis: 3)
            let y =
                width == size
                ? rotated : concatenate([rotated, q.narrowed(axis: 3, start: width, length: size - width)], axis: 3)
            return isFlat ? joined(y) : y
        },
        "LinearAttention": { try linearAttention($0) },
    ]

    /// `[batch, length, heads · size]` to `[batch, heads, length, size]`.
    private static func heads(_ x: Tensor, _ count: Int) -> Tensor {
        x.unflattened(2, into: [count, x.shape[2] / count]).transposed(1, 2)
    }
    private static func joined(_ x: Tensor) -> Tensor { x.transposed(1, 2).flattened(from: 2) }

    private static func attention(_ call: OnnxCall) throws -> [OnnxValue] {
        let isFlat = try call.x(0).rank == 3
        func split(_ i: Int, _ name: String) throws -> Tensor {
            isFlat ? heads(try call.x(i), try call.int(name, or: 1)) : try call.x(i)
        }
        let q = try split(0, "q_num_heads")
        var k = try split(1, "kv_num_heads"), v = try split(2, "kv_num_heads")
        let past = try call.optional(4)
        if let past { k = concatenate([past, k], axis: 2) }
        if let past = try call.optional(5) { v = concatenate([past, v], axis: 2) }
        let present = (k, v), rows = q.shape[2], columns = k.shape[2]
        let lengths = try call.optional(6)?.to(.int64).reshaped([-1, 1, 1, 1])

        // What each query sees: a mask that broadcasts to [batch, heads, rows, columns], and numbers to add.
        var visible = Tensor(ones: [rows, columns], dtype: .bool), bias: Tensor?
        if var mask = try call.optional(3) {
            let isBool = mask.dtype == .bool, missing = columns - mask.shape.last!
            if missing > 0 { mask = mask.padded([0, missing], mode: .constant(isBool ? 0 : -.infinity)) }
            if isBool { visible = visible .& mask } else { bias = mask }
        }
        let place = Tensor(arange: columns), query = Tensor(arange: rows).unsqueezed(-1)
        // The last query stands at the last key that counts; without a cache the first at the first.
        let here = past.map { query + $0.shape[2] } ?? lengths.map { query + ($0 - rows) } ?? query
        let isCausal = try call.flag("is_causal")
        let left = try call.int("left_window_size", or: -1), right = try call.int("right_window_size", or: -1)
        if isCausal { visible = visible .& (place .<= here) }
        if left >= 0 { visible = visible .& (place .>= here - left) }
        if right >= 0 { visible = visible .& (place .<= here + right) }
        if let lengths { visible = visible .& (place .< lengths) }

        let scale = call.has("scale") ? try call.double("scale", or: 1) : nil, cap = try call.double("softcap", or: 0)
        let isPlain = cap == 0 && call.outputCount < 4 && (q.dtype == .float32 || q.dtype == .float64)
        var y: Tensor, scores: Tensor?
        if isPlain && bias == nil {
            y = scaledDotProductAttention(q, k, v, mask: visible, scale: scale)
        } else if isPlain, let bias {
            let hidden = visible.expanded(to: broadcastShape(visible.shape, bias.shape)!)
            y = scaledDotProductAttention(
                q, k, v, mask: which(hidden, bias, Tensor(-Double.infinity, dtype: bias.dtype)), scale: scale)
        } else {
            let precision = try call.optionalInt("softmax_precision").map(onnxType) ?? q.dtype
            (y, scores) = scored(q, k, v, visible, bias, scale, cap, try call.int("qk_matmul_output_mode", or: 0), precision)
        }
        if isFlat { y = joined(y) }
        return outputs(y, present.0, present.1, scores)
    }

    /// Attention by its parts, each rounded to the queries' type as in ONNX's definition: with a soft cap, and with the scores after one
    /// of its steps.
    private static func scored(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ visible: Tensor, _ bias: Tensor?, _ scale: Double?, _ cap: Double, _ mode: Int,
        _ precision: DType
    ) -> (Tensor, Tensor) {
        let groups = q.shape[1] / k.shape[1]
        let root = Tensor((scale ?? 1 / Double(q.shape[3]).squareRoot()).squareRoot(), dtype: q.dtype)
        func repeated(_ x: Tensor) -> Tensor { groups == 1 ? x : x.repeatInterleaved(groups, axis: 1) }
        var scores = matmul(q * root, repeated(k).transposed() * root)
        var stages = [scores]
        if cap > 0 { scores = tanh(scores / cap) * cap }
        stages.append(scores)
        if let bias { scores = scores + bias.to(scores.dtype) }
        scores = which(visible, scores, -Double.infinity)
        stages.append(scores)
        // A row that sees nothing is 0.
        let sees = (scores .> -Double.infinity).any([3], keepDims: true)
        let p = which(sees, stepwiseSoftmax(which(sees, scores, 0.0).to(precision)), 0.0)
        stages.append(p)
        return (matmul(p, repeated(v).to(precision)).to(q.dtype), stages[mode].to(q.dtype))
    }

    /// Softmax over the last axis; in `bfloat16` with a rounding after each step and each addition, as the definition spelt out has it.
    private static func stepwiseSoftmax(_ x: Tensor) -> Tensor {
        if x.dtype != .bfloat16 { return softmax(x) }
        let e = exp(x - x.max([-1], keepDims: true)), columns = e.chunked(e.shape.last!, axis: -1)
        return e / columns.dropFirst().reduce(columns[0]) { $0 + $1 }
    }

    /// The recurrence of linear attention: the state decays, forgets what it would answer (delta rule), takes up the outer product of
    /// key and value, and is read by the query.
    private static func linearAttention(_ call: OnnxCall) throws -> [OnnxValue] {
        let rule = try call.string("update_rule", or: "gated_delta")
        let queryHeads = try call.int("q_num_heads", or: 1), stateHeads = try call.int("kv_num_heads", or: 1)
        let input = try call.x(0)
        func unpacked(_ i: Int, _ count: Int) throws -> Tensor { heads(try call.x(i).to(.float32), count) }
        let q = try unpacked(0, queryHeads), k = try unpacked(1, stateHeads), v = try unpacked(2, stateHeads)
        let (batch, length, width) = (q.shape[0], q.shape[2], q.shape[3])
        let isGated = rule.hasPrefix("gated"), isDelta = rule.hasSuffix("delta")
        let decay = isGated ? try unpacked(4, stateHeads) : nil
        let beta = isDelta ? try call.x(5).to(.float32).transposed(1, 2).unsqueezed(-1) : nil
        let erase = isDelta && call.has(6) ? try unpacked(6, stateHeads) : nil
        let named = try call.double("scale", or: 0), scale = named == 0 ? 1 / Double(width).squareRoot() : named
        let past = try call.optional(3)
        var state = past?.to(.float32) ?? Tensor(zeros: [batch, stateHeads, width, v.shape[3]])
        var rows: [Tensor] = []
        for t in 0..<length {
            func now(_ x: Tensor) -> Tensor { x.narrowed(axis: 2, start: t, length: 1).squeezed(2) }
            if let decay { state = state * exp(now(decay)).unsqueezed(-1) }
            var value = now(v)
            let key = now(k).unsqueezed(-1)
            if let beta {
                let asked = erase.map { now($0).unsqueezed(-1) * key } ?? key
                value = now(beta) * (value - (state * asked).sum([2]))
            }
            state = state + key * value.unsqueezed(2)
            let read = queryHeads == stateHeads ? state : state.repeatInterleaved(queryHeads / stateHeads, axis: 1)
            rows.append(matmul(now(q).unsqueezed(2), read).squeezed(2) * scale)
        }
        return outputs(joined(stack(rows, axis: 2)).to(input.dtype), state.to(past?.dtype ?? input.dtype))
    }
}
