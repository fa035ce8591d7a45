import CCUDA
import CoreTensor

/// How a product of a matrix ("the weight") with few vectors is cut up: by its shape alone, so that a result is the same on every device.
struct VectorShape {
    /// Whether the vectors are the columns of the right operand, and the left one is the weight.
    let isTurned: Bool
    /// Whether the weight's elements along k are neighbours in memory.
    let isAlong: Bool
    /// The vectors that the kernel has sums for: 1, 4 or 8.
    let few: Int
    /// The warps of a block that share their lines of the weight, each with a part of k.
    let parts: Int
    /// The parts of k that different blocks sum.
    let splits: Int
    /// Blocks, and products and parts of them.
    let grid: (Int, Int)

    /// More vectors pay for tiles.
    nonisolated(unsafe) static var mostVectors = 8
    /// With fewer blocks a device does not read as fast as its memory goes, and k is cut into more parts.
    nonisolated(unsafe) static var fewBlocks = 256

    /// Nil where tiles do as well or better: many vectors, types without 16-byte pieces, rows that begin anywhere, short sums.
    init?(_ p: tk_cuda_gemm, _ type: DType, _ left: UInt64, _ right: UInt64) {
        if !(type.isHalf || type == .float32) || min(p.m, p.n) > Self.mostVectors || p.k > Int32.max { return nil }
        isTurned = p.m > Self.mostVectors
        let (vectors, lines) = isTurned ? (Int(p.n), Int(p.m)) : (Int(p.m), Int(p.n)), k = Int(p.k), batch = Int(p.batch)
        isAlong = isTurned ? p.transpose_a == 0 : p.transpose_b != 0
        let each = 16 / type.byteCount, weight = isTurned ? left : right
        let (rowLength, step) = isTurned ? (p.lda, p.stride_a) : (p.ldb, p.stride_b)
        if weight % 16 != 0 || rowLength % Int64(each) != 0 || step % Int64(each) != 0 { return nil }
        few = vectors == 1 ? 1 : vectors <= 4 ? 4 : 8
        // What a lane of `along` takes at once is a piece, in `across` the element of one k; it should have several of each.
        let steps = isAlong ? (k + each - 1) / each : k, lanes = 32
        if steps < lanes / 2 { return nil }
        var parts = 1, blocks: Int
        if isAlong {
            func count(_ parts: Int) -> Int { (lines + 32 / parts - 1) / (32 / parts) }
            while parts < 8 && count(parts) * batch < Self.fewBlocks && steps >= 2 * parts * lanes { parts *= 2 }
            blocks = count(parts)
        } else {
            blocks = (lines + 8 * each - 1) / (8 * each)
        }
        // The warps of a block take so many steps at a time.
        let turn = isAlong ? parts * lanes : 4 * lanes, wanted = (Self.fewBlocks + blocks * batch - 1) / max(1, blocks * batch)
        splits = parts < 8 && isAlong ? 1 : max(1, min(wanted, steps / (2 * turn), 32))
        self.parts = parts
        grid = (blocks, min(batch * splits, 65_535))
    }

    var kernel: StaticString {
        switch (isAlong, few) {
        case (true, 1): "tk_gemv_along_1"
        case (true, 4): "tk_gemv_along_4"
        case (true, _): "tk_gemv_along_8"
        case (false, 1): "tk_gemv_across_1"
        case (false, 4): "tk_gemv_across_4"
        case (false, _): "tk_gemv_across_8"
        }
    }
}
