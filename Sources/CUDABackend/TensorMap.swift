import CCUDA

/// A tensor of 16-bit elements as the driver describes it to the unit of sm_90 that copies boxes of it to shared memory: 128 bytes that a kernel
/// takes by value.
struct TensorMap: BitwiseCopyable {
    private var words:
        (
            UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64,
            UInt64,
            UInt64
        ) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    /// Boxes of 64 elements of the innermost axis, which lie together, by `rows` of the next. `sizes` begins with that axis and `steps`, in
    /// elements, with the one after it. Nil if the driver does not take it: it wants a base and steps of multiples of 16 bytes.
    init?(_ context: CUDAContext, _ base: UInt64, sizes: [Int64], steps: [Int64], rows: Int) {
        guard let encode = context.driver.functions.encode_tensor_map, steps.allSatisfy({ $0 > 0 }) else { return nil }
        let bytes = steps.map { UInt64($0 * 2) }, each = [UInt32](repeating: 1, count: sizes.count)
        let box = [64, UInt32(rows)] + each.dropFirst(2)
        let result = withUnsafeMutableBytes(of: &words) { to in
            // The driver wants it at a multiple of 64 bytes.
            withUnsafeTemporaryAllocation(byteCount: 128, alignment: 64) { aligned in
                let result = encode(
                    OpaquePointer(aligned.baseAddress!), Int32(TK_CU_TENSOR_MAP_16_BITS), UInt32(sizes.count),
                    UnsafeMutableRawPointer(bitPattern: UInt(base)), sizes.map(UInt64.init), bytes, box, each, 0,
                    Int32(TK_CU_TENSOR_MAP_SWIZZLE_128), Int32(TK_CU_TENSOR_MAP_L2_256), 0)
                to.copyMemory(from: UnsafeRawBufferPointer(aligned))
                return result
            }
        }
        if result != Int32(TK_CU_SUCCESS) { return nil }
    }
}
