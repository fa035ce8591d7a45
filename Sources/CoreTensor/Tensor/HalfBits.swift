import CKernels

/// Single elements of the 16-bit float types, through the kernels' conversions (Swift's `Float16` is slow on x86-64).
enum HalfBits {
    static func float16(_ value: Double) -> UInt16 { encode(value, .float16) }
    static func bfloat16(_ value: Double) -> UInt16 { encode(value, .bfloat16) }
    static func float8(_ value: Double, _ dtype: DType) -> UInt8 {
        var from = value
        var to: UInt8 = 0
        tk_cast(DType.float64.code, dtype.code, &from, &to, 1)
        return to
    }

    private static func encode(_ value: Double, _ dtype: DType) -> UInt16 {
        var from = value
        var to: UInt16 = 0
        tk_cast(DType.float64.code, dtype.code, &from, &to, 1)
        return to
    }
}
