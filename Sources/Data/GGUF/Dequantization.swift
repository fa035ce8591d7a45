/// Bits of IEEE half precision, without the slow conversions of `Float16` on x86.
enum Half {
    @inline(__always) static func float(_ half: UInt16) -> Float {
        let sign = UInt32(half & 0x8000) << 16, rest = UInt32(half & 0x7FFF)
        if rest >= 0x7C00 { return Float(bitPattern: sign | 0x7F80_0000 | (rest & 0x3FF) << 13) }
        // 2¹¹² puts the exponent right, subnormals included.
        let magnitude = Float(bitPattern: rest << 13) * Float(bitPattern: 0x7780_0000)
        return Float(bitPattern: magnitude.bitPattern | sign)
    }

    /// Rounded to the nearest, ties to even.
    static func bits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern, sign = UInt16(bits >> 16 & 0x8000)
        let magnitude = bits & 0x7FFF_FFFF
        if magnitude > 0x7F80_0000 { return sign | 0x7E00 | UInt16(magnitude >> 13 & 0x3FF) }
        if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
        if magnitude < 0x3880_0000 {
            // Adding a half puts what is kept of a subnormal into the last bits, rounded.
            let sum = Float(bitPattern: magnitude) + 0.5
            return sign | UInt16(truncatingIfNeeded: sum.bitPattern &- 0x3F00_0000)
        }
        let rounded = magnitude + 0xFFF + (magnitude >> 13 & 1)
        return sign | UInt16(truncatingIfNeeded: (rounded >> 13) &- 0x1C000)
    }
}

/// A block of a quantised tensor, by bytes.
struct QuantizedBlock {
    let base: UnsafeRawPointer

    @inline(__always) subscript(_ i: Int) -> UInt8 { base.load(fromByteOffset: i, as: UInt8.self) }
    @inline(__always) func signed(_ i: Int) -> Int8 { base.load(fromByteOffset: i, as: Int8.self) }
    @inline(__always) func word16(_ i: Int) -> UInt16 { base.loadUnaligned(fromByteOffset: i, as: UInt16.self).littleEndian }
    @inline(__always) func word32(_ i: Int) -> UInt32 { base.loadUnaligned(fromByteOffset: i, as: UInt32.self).littleEndian }
    @inline(__always) func half(_ i: Int) -> Float { Half.float(word16(i)) }
    /// The i-th 4-bit number of 16 bytes at `start`: first the lower halves, then the upper.
    @inline(__always) func nibble(_ start: Int, _ i: Int) -> UInt8 { i < 16 ? self[start + i] & 0xF : self[start + i - 16] >> 4 }
}

extension GGMLType {
    /// Computes float32 values from whole blocks, in ggml's order of operations. False for a type that is never stored in files.
    func dequantize(_ blocks: UnsafeRawPointer, count: Int, into output: UnsafeMutablePointer<Float>) -> Bool {
        guard let body = blockBody else { return false }
        for i in 0..<count { body(QuantizedBlock(base: blocks + i * blockByteCount), output + i * blockSize) }
        return true
    }

    private var blockBody: ((QuantizedBlock, UnsafeMutablePointer<Float>) -> Void)? {
        switch self {
        case .q4_0: Self.q4_0
        case .q4_1: Self.q4_1
        case .q5_0: Self.q5_0
        case .q5_1: Self.q5_1
        case .q8_0: Self.q8_0
        case .q2_K: Self.q2_K
        case .q3_K: Self.q3_K
        case .q4_K: Self.q4_K
        case .q5_K: Self.q5_K
        case .q6_K: Self.q6_K
        case .q8_K: Self.q8_K
        case .tq1_0: Self.tq1_0
        case .tq2_0: Self.tq2_0
        case .mxfp4: Self.mxfp4
        case .nvfp4: Self.nvfp4
        case .q1_0: Self.q1_0
        case .iq4_NL: Self.iq4_NL
        case .iq4_XS: Self.iq4_XS
        case .iq2_XXS: Self.iq2_XXS
        case .iq2_XS: Self.iq2_XS
        case .iq2_S: Self.iq2_S
        case .iq3_XXS: Self.iq3_XXS
        case .iq3_S: Self.iq3_S
        case .iq1_S: Self.iq1_S
        case .iq1_M: Self.iq1_M
        default: nil
        }
    }

    // MARK: Blocks of 32

    private static func q4_0(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0)
        for i in 0..<32 { y[i] = d * Float(Int(b.nibble(2, i)) - 8) }
    }

    private static func q4_1(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), m = b.half(2)
        for i in 0..<32 { y[i] = d * Float(b.nibble(4, i)) + m }
    }

    private static func q5_0(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), high = b.word32(2)
        for i in 0..<32 { y[i] = d * Float(Int(b.nibble(6, i)) + Int(high >> UInt32(i) & 1) << 4 - 16) }
    }

    private static func q5_1(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), m = b.half(2), high = b.word32(4)
        for i in 0..<32 { y[i] = d * Float(Int(b.nibble(8, i)) + Int(high >> UInt32(i) & 1) << 4) + m }
    }

    private static func q8_0(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0)
        for i in 0..<32 { y[i] = d * Float(b.signed(2 + i)) }
    }

    private static let fp4: [Float] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

    private static func mxfp4(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let e = UInt32(b[0])
        let d = Float(bitPattern: e < 2 ? 0x0020_0000 << e : (e - 1) << 23)
        for i in 0..<32 { y[i] = d * fp4[Int(b.nibble(1, i))] }
    }

    private static func nvfp4(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        for group in 0..<4 {
            // An unsigned 8-bit float of 4 exponent bits, halved as the table holds doubled values.
            let byte = Int(b[group]), exponent = byte >> 3 & 0xF, fraction = Float(byte & 7)
            let raw: Float =
                exponent == 0 ? fraction / 512 : (1 + fraction / 8) * Float(sign: .plus, exponent: exponent - 7, significand: 1)
            let d = byte == 0 || byte == 0x7F ? 0 : raw * 0.5
            for i in 0..<16 {
                let packed = b[4 + group * 8 + i % 8]
                y[group * 16 + i] = d * fp4[Int(i < 8 ? packed & 0xF : packed >> 4)]
            }
        }
    }

    private static func q1_0(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0)
        for i in 0..<128 { y[i] = b[2 + i / 8] >> UInt8(i % 8) & 1 == 0 ? -d : d }
    }

    private static let iq4Values: [Float] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

    private static func iq4_NL(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0)
        for i in 0..<32 { y[i] = d * iq4Values[Int(b.nibble(2, i))] }
    }

    // MARK: Blocks of 256

    private static func q2_K(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(80), min = b.half(82)
        for i in 0..<256 {
            let scale = b[i / 16]
            let q = b[16 + i / 128 * 32 + i % 32] >> UInt8(i / 32 % 4 * 2) & 3
            y[i] = d * Float(scale & 0xF) * Float(q) - min * Float(scale >> 4)
        }
    }

    private static func q3_K(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(108)
        for i in 0..<256 {
            let group = i / 16
            let low = b[96 + group % 8] >> UInt8(group / 8 * 4) & 0xF, high = b[104 + group % 4] >> UInt8(group / 4 * 2) & 3
            let scale = Int(low | high << 4) - 32
            let q = Int(b[32 + i / 128 * 32 + i % 32] >> UInt8(i / 32 % 4 * 2) & 3)
            let isLow = b[i % 32] >> UInt8(i / 32) & 1 == 0
            y[i] = d * Float(scale) * Float(isLow ? q - 4 : q)
        }
    }

    /// The j-th scale and minimum of 6 bits each, packed in 12 bytes.
    @inline(__always) private static func scaleAndMin(_ b: QuantizedBlock, _ start: Int, _ j: Int) -> (Float, Float) {
        if j < 4 { return (Float(b[start + j] & 0x3F), Float(b[start + 4 + j] & 0x3F)) }
        let k = j - 4
        return (
            Float(b[start + 8 + k] & 0xF | (b[start + k] >> 2) & 0x30),
            Float(b[start + 8 + k] >> 4 | (b[start + 4 + k] >> 2) & 0x30)
        )
    }

    private static func q4_K(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), min = b.half(2)
        for j in 0..<8 {
            let (s, m) = scaleAndMin(b, 4, j)
            let scale = d * s, offset = min * m
            for i in 0..<32 { y[j * 32 + i] = scale * Float(b[16 + j / 2 * 32 + i] >> UInt8(j % 2 * 4) & 0xF) - offset }
        }
    }

    private static func q5_K(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), min = b.half(2)
        for j in 0..<8 {
            let (s, m) = scaleAndMin(b, 4, j)
            let scale = d * s, offset = min * m
            for i in 0..<32 {
                let q = b[48 + j / 2 * 32 + i] >> UInt8(j % 2 * 4) & 0xF | (b[16 + i] >> UInt8(j) & 1) << 4
                y[j * 32 + i] = scale * Float(q) - offset
            }
        }
    }

    private static func q6_K(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(208)
        for i in 0..<256 {
            let half = i / 128, rest = i % 128
            let low = b[half * 64 + rest % 64] >> UInt8(rest / 64 * 4) & 0xF
            let high = b[128 + half * 32 + rest % 32] >> UInt8(rest / 32 * 2) & 3
            y[i] = d * Float(b.signed(192 + i / 16)) * Float(Int(low | high << 4) - 32)
        }
    }

    private static func q8_K(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = Float(bitPattern: b.word32(0))
        for i in 0..<256 { y[i] = d * Float(b.signed(4 + i)) }
    }

    private static func tq1_0(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(52)
        let powers: [UInt8] = [1, 3, 9, 27, 81]
        func value(_ byte: UInt8, _ n: Int) -> Float { d * Float(Int((UInt16(byte &* powers[n]) * 3) >> 8) - 1) }
        for i in 0..<160 { y[i] = value(b[i % 32], i / 32) }
        for i in 0..<80 { y[160 + i] = value(b[32 + i % 16], i / 16) }
        for i in 0..<16 { y[240 + i] = value(b[48 + i % 4], i / 4) }
    }

    private static func tq2_0(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(64)
        for i in 0..<256 { y[i] = d * Float(Int(b[i / 128 * 32 + i % 32] >> UInt8(i / 32 % 4 * 2) & 3) - 1) }
    }

    private static func iq4_XS(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), high = b.word16(2)
        for j in 0..<8 {
            let scale = Int(b[4 + j / 2] >> UInt8(j % 2 * 4) & 0xF) | Int(high >> UInt16(2 * j) & 3) << 4
            let dl = d * Float(scale - 32)
            for i in 0..<32 { y[j * 32 + i] = dl * iq4Values[Int(b.nibble(8 + j * 16, i))] }
        }
    }

    // MARK: Lattices

    /// Signs of eight values from seven bits: their product is positive.
    @inline(__always) private static func signs(_ index: UInt32) -> UInt8 {
        UInt8(index) | UInt8(truncatingIfNeeded: index.nonzeroBitCount & 1) << 7
    }

    /// Writes `width` values of a codeword, with signs from bit `first` on.
    @inline(__always) private static func write(
        _ y: UnsafeMutablePointer<Float>, _ scale: Float, _ grid: [Float], _ codeword: Int, _ width: Int, _ signs: UInt8,
        _ first: Int = 0
    ) {
        for k in 0..<width {
            let value = scale * grid[codeword * width + k]
            y[k] = signs >> UInt8(first + k) & 1 == 0 ? value : -value
        }
    }

    private static func iq2_XXS(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), grid = GridTable.iq2xxs
        for j in 0..<8 {
            let packed = b.word32(2 + j * 8 + 4)
            let scale = d * (0.5 + Float(packed >> 28)) * 0.25
            for k in 0..<4 {
                write(y + j * 32 + k * 8, scale, grid, Int(b[2 + j * 8 + k]), 8, signs(packed >> UInt32(7 * k) & 0x7F))
            }
        }
    }

    private static func iq2_XS(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), grid = GridTable.iq2xs
        for j in 0..<32 {
            let q = b.word16(2 + 2 * j)
            let scale = d * (0.5 + Float(b[66 + j / 4] >> UInt8(j / 2 % 2 * 4) & 0xF)) * 0.25
            write(y + j * 8, scale, grid, Int(q & 511), 8, signs(UInt32(q >> 9)))
        }
    }

    private static func iq2_S(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), grid = GridTable.iq2s
        for j in 0..<32 {
            let q = Int(b[2 + j]) | Int(b[66 + j / 4] >> UInt8(j % 4 * 2) & 3) << 8
            let scale = d * (0.5 + Float(b[74 + j / 4] >> UInt8(j / 2 % 2 * 4) & 0xF)) * 0.25
            write(y + j * 8, scale, grid, q, 8, b[34 + j])
        }
    }

    private static func iq3_XXS(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), grid = GridTable.iq3xxs
        for j in 0..<8 {
            let packed = b.word32(66 + 4 * j)
            let scale = d * (0.5 + Float(packed >> 28)) * 0.5
            for k in 0..<8 {
                write(
                    y + j * 32 + k * 4, scale, grid, Int(b[2 + j * 8 + k]), 4, signs(packed >> UInt32(7 * (k / 2)) & 0x7F),
                    k % 2 * 4)
            }
        }
    }

    private static func iq3_S(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), grid = GridTable.iq3s
        for k in 0..<64 {
            let q = Int(b[2 + k]) | Int(b[66 + k / 8] >> UInt8(k % 8) & 1) << 8
            let scale = d * Float(1 + 2 * Int(b[106 + k / 16] >> UInt8(k / 8 % 2 * 4) & 0xF))
            write(y + k * 4, scale, grid, q, 4, b[74 + k / 2], k % 2 * 4)
        }
    }

    private static func iq1_S(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let d = b.half(0), grid = GridTable.iq1s
        for j in 0..<8 {
            let high = b.word16(34 + 2 * j)
            let scale = d * Float(2 * Int(high >> 12 & 7) + 1), delta: Float = high & 0x8000 == 0 ? 0.125 : -0.125
            for k in 0..<4 {
                let q = Int(b[2 + j * 4 + k]) | Int(high >> UInt16(3 * k) & 7) << 8
                for i in 0..<8 { y[j * 32 + k * 8 + i] = scale * (grid[q * 8 + i] + delta) }
            }
        }
    }

    private static func iq1_M(_ b: QuantizedBlock, _ y: UnsafeMutablePointer<Float>) {
        let grid = GridTable.iq1s
        let s = (0..<4).map { b.word16(48 + 2 * $0) }
        // The scale's bits are the upper four of each word of scales.
        let d = Half.float(s[0] >> 12 | (s[1] & 0xF000) >> 8 | (s[2] & 0xF000) >> 4 | s[3] & 0xF000)
        for k in 0..<32 {
            let scale = d * Float(2 * Int(s[k / 8] >> UInt16(k / 2 % 4 * 3) & 7) + 1)
            let high = b[32 + k / 2] >> UInt8(k % 2 * 4) & 0xF
            let q = Int(b[k]) | Int(high & 7) << 8, delta: Float = high & 8 == 0 ? 0.125 : -0.125
            for i in 0..<8 { y[k * 8 + i] = scale * (grid[q * 8 + i] + delta) }
        }
    }
}
