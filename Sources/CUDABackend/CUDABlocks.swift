import CCUDA

extension CUDAAllocator {
    /// A piece of a segment of the driver's memory.
    final class Block {
        let address: UInt64
        var size: Int
        let isSmall: Bool
        var isFree = false
        /// Whose work may be handed the block when it is free.
        var pool: Pool
        /// Streams other than the pool's that have used the block since it was handed out.
        var users: [tk_cu_stream] = []
        /// Graphs whose work uses the block; it stays as it is until they are gone.
        var graphs = 0
        /// Whether its tensor is gone while graphs still use it.
        var isAbandoned = false
        /// The neighbours in the same segment.
        unowned(unsafe) var before: Block?
        var after: Block?

        init(_ address: UInt64, _ size: Int, isSmall: Bool, _ pool: Pool) {
            self.address = address
            self.size = size
            self.isSmall = isSmall
            self.pool = pool
        }

        var isWholeSegment: Bool { before == nil && after == nil }
    }

    /// Free blocks, the smallest first and, of equal ones, the first in memory.
    struct FreeList {
        private(set) var blocks: [Block] = []

        private func place(_ size: Int, _ address: UInt64) -> Int {
            var low = 0, high = blocks.count
            while low < high {
                let middle = (low + high) / 2, block = blocks[middle]
                if block.size < size || (block.size == size && block.address < address) {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            return low
        }
        mutating func insert(_ block: Block) { blocks.insert(block, at: place(block.size, block.address)) }
        mutating func remove(_ block: Block) { blocks.remove(at: place(block.size, block.address)) }
        func smallest(holding size: Int) -> Block? {
            let place = place(size, 0)
            return place < blocks.count ? blocks[place] : nil
        }
    }

    /// The free blocks of one stream, or of one graph.
    final class Pool {
        /// nil: a graph's, whose segments stay its own.
        let stream: tk_cu_stream?
        /// What took over the blocks when the stream or graph was gone.
        var successor: Pool?
        var small = FreeList(), large = FreeList()

        init(_ stream: tk_cu_stream?) { self.stream = stream }

        func insert(_ block: Block) { if block.isSmall { small.insert(block) } else { large.insert(block) } }
        func remove(_ block: Block) { if block.isSmall { small.remove(block) } else { large.remove(block) } }
        func smallest(holding size: Int, isSmall: Bool) -> Block? { (isSmall ? small : large).smallest(holding: size) }
        var blocks: [Block] { small.blocks + large.blocks }
    }
}
