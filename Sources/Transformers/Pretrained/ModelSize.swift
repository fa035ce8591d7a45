import CoreTensor
import NN

/// Sizes of models by formula, and the memory that weights take.
public enum ModelSize {
    /// The parameters of the blocks of a plain transformer, 12 · layers · width²: four projections of attention and a feed-forward part of
    /// 4 · width. GPT-3 with 96 layers of 12,288 features: 174 billion.
    public static func blockParameters(layers: Int, width: Int) -> Int { 12 * layers * width * width }

    /// Bytes that `parameters` weights take in `bits` each.
    public static func bytes(parameters: Int, bits: Int) -> Int {
        // Not the product first: it overflows before the result does.
        parameters / 8 * bits + (parameters % 8 * bits + 7) / 8
    }

    /// Bytes of the keys and values of `tokens` positions, in `dtype`: 2 · layers · kvHeads · headDim numbers for each.
    public static func cacheBytes(_ configuration: DecoderConfiguration, tokens: Int, dtype: DType = .float16) -> Int {
        let c = configuration
        return (0..<c.layers).reduce(0) { sum, layer in
            sum + 2 * c.kvHeads * c.headDim * min(tokens, c.window(layer) ?? tokens) * dtype.byteCount
        }
    }

    static func shown(_ bytes: Int) -> String {
        let sizes = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]
        let (unit, size) = sizes.first { Double(bytes) >= $0.1 } ?? ("B", 1)
        return "\((Double(bytes) / size * 100).rounded() / 100) \(unit)"
    }
}

extension Module {
    /// What the parameters take in memory in float32, bfloat16, int8 and int4, in one line.
    public func memorySummary() -> String {
        let count = parameterCount()
        let sizes = [("float32", 32), ("bfloat16", 16), ("int8", 8), ("int4", 4)]
        return "\(count) parameters: "
            + sizes.map { "\($0.0) \(ModelSize.shown(ModelSize.bytes(parameters: count, bits: $0.1)))" }.joined(separator: ", ")
    }
}
