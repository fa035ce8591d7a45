import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Which features of a head are turned together.
public enum RotaryLayout: Sendable, Equatable {
    /// Feature `i` with `i + dim / 2` (GPT-NeoX and Hugging Face's Llama: `rotate_half`).
    case halfSplit
    /// Feature `2 i` with `2 i + 1` (the paper, GPT-J, Meta's own Llama, GGUF).
    case interleaved
}

/// Rotary positions (Su et al., 2021): pairs of features of queries and keys are turned by angles proportional to their positions, so
/// that a query's score with a key depends on their distance alone.
///
/// ```swift
/// let rotary = RotaryEmbedding(dim: 64, base: 10_000)
/// let rotation = rotary.rotation(of: 0..<queries.shape[2])
/// let scores = matmul(rotation(queries), rotation(keys).transposed())        // [batch, heads, length, dim] each
/// ```
public struct RotaryEmbedding: Sendable, Equatable {
    /// Features that turn, an even number; those behind stay (GPT-NeoX's partial rotation).
    public let dim: Int
    /// The ratio of the slowest wavelength to the fastest: "theta".
    public let base: Double
    /// How the frequencies are stretched.
    public let scaling: RotaryScaling
    /// Which features go together.
    public let layout: RotaryLayout

    /// Traps unless `dim` is even and positive (above 2 for dynamic scaling) and `base` positive.
    public init(dim: Int, base: Double = 10_000, scaling: RotaryScaling = .none, layout: RotaryLayout = .halfSplit) {
        if dim < 2 || dim % 2 != 0 { fail("RotaryEmbedding", "\(dim) features; needs an even number, at least 2") }
        if !(base > 0) || !base.isFinite { fail("RotaryEmbedding", "a base of \(base); must be above 0") }
        if case .dynamic = scaling, dim == 2 { fail("RotaryEmbedding", "dynamic scaling needs more than 2 features") }
        if case .longRoPE(let short, let long, _, _) = scaling, short.count != dim / 2 || long.count != dim / 2 {
            fail("RotaryEmbedding", "\(short.count) and \(long.count) factors for \(dim / 2) frequencies")
        }
        self.dim = dim
        self.base = base
        self.scaling = scaling
        self.layout = layout
    }

    /// Radians per position of each pair of features, `dim / 2` of them, for sequences of `length`.
    public func inverseFrequencies(length: Int = 0) -> [Double] {
        scaling.inverseFrequencies(base: base, dim: dim, length: length)
    }

    /// What cosines and sines are multiplied by.
    public var attentionScaling: Double { scaling.attentionFactor }

    /// The rotation of positions that follow one another, for tensors `[batch, heads, length, features]`.
    public func rotation(of positions: Range<Int>, dtype: DType = .float32, device: Device = .cpu) -> RotaryRotation {
        rotation([Array(positions)], dtype, device)
    }

    /// The rotation of any positions, one list per sequence of the batch or one for all; lists of the same length.
    public func rotation(of positions: [[Int]], dtype: DType = .float32, device: Device = .cpu) -> RotaryRotation {
        if positions.isEmpty || positions.contains(where: { $0.count != positions[0].count }) {
            fail("RotaryEmbedding.rotation", "lists of \(positions.map(\.count)) positions; needs some, of one length")
        }
        return rotation(positions, dtype, device)
    }

    private func rotation(_ positions: [[Int]], _ dtype: DType, _ device: Device) -> RotaryRotation {
        let longest = scaling.dependsOnLength ? (positions.lazy.compactMap { $0.max() }.max() ?? 0) + 1 : 0
        // Angles in single precision, as models are trained with; their cosines to the last bit.
        let frequencies = inverseFrequencies(length: longest).map { Float($0) }
        let length = positions[0].count, half = dim / 2, scale = attentionScaling
        var cosine = [Float](repeating: 0, count: positions.count * length * dim), sine = cosine
        var row = 0
        for position in positions.joined() {
            for (i, frequency) in frequencies.enumerated() {
                let angle = Double(Float(position) * frequency)
                let (first, second) = layout == .halfSplit ? (row + i, row + i + half) : (row + 2 * i, row + 2 * i + 1)
                let c = Float(cos(angle) * scale), s = Float(sin(angle) * scale)
                cosine[first] = c
                cosine[second] = c
                sine[first] = -s
                sine[second] = s
            }
            row += dim
        }
        let shape = [positions.count, 1, length] + (layout == .halfSplit ? [2, half] : [half, 2])
        return RotaryRotation(
            cosine: Tensor(cosine, shape: shape).to(dtype).to(device: device),
            signedSine: Tensor(sine, shape: shape).to(dtype).to(device: device), dim: dim, layout: layout)
    }
}

/// Cosines and sines of the angles of some positions, made once for all layers of a model: a function of queries or keys.
public struct RotaryRotation: Sendable {
    // [batch or 1, 1, length, 2, dim / 2], or with the last two the other way round if interleaved. Sines have the sign of the feature that
    // they are for.
    private let cosine, signedSine: Tensor
    private let dim: Int
    private let layout: RotaryLayout

    init(cosine: Tensor, signedSine: Tensor, dim: Int, layout: RotaryLayout) {
        self.cosine = cosine
        self.signedSine = signedSine
        self.dim = dim
        self.layout = layout
    }

    /// The positions.
    var length: Int { cosine.shape[2] }

    /// Cosines, scaled, of every feature: `[batch or 1, length, dim]`.
    public var cosines: Tensor { cosine.reshaped([cosine.shape[0], length, dim]) }
    /// Sines, scaled, of every feature, as ``cosines``.
    public var sines: Tensor {
        let parts = signedSine.chunked(2, axis: layout == .halfSplit ? -2 : -1)
        return concatenate([-parts[0], parts[1]], axis: layout == .halfSplit ? -2 : -1).reshaped(cosines.shape)
    }

    /// Turns the features of `x [batch, heads, length, features]`; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        if x.rank != 4 || x.shape[2] != length || x.shape[3] < dim || (cosine.shape[0] != 1 && cosine.shape[0] != x.shape[0]) {
            fail(
                "RotaryRotation",
                "\(x.shape) does not fit a rotation of \(cosine.shape[0]) × \(length) positions and \(dim) features")
        }
        let rest = x.shape[3] - dim
        if rest > 0 {
            let parts = x.split(sizes: [dim, rest], axis: -1)
            return concatenate([turned(parts[0]), parts[1]], axis: -1)
        }
        return turned(x)
    }

    /// Each feature times its cosine, and its partner, which the flipped view puts in its place, times its sine.
    private func turned(_ x: Tensor) -> Tensor {
        let half = dim / 2
        let pairs = x.unflattened(-1, into: layout == .halfSplit ? [2, half] : [half, 2])
        let partners = pairs.flipped(layout == .halfSplit ? -2 : -1)
        return turn(pairs, cosine, partners, signedSine).reshaped(x.shape)
    }
}

private let turn = fused { (x: Tensor, cosine: Tensor, partner: Tensor, sine: Tensor) in x * cosine + partner * sine }
