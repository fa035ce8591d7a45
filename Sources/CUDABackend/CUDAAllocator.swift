import CCUDA
import CoreTensor

/// What the allocator of a device holds and has done.
public struct CUDAMemoryStatistics: Sendable, Equatable {
    /// Bytes that tensors use, rounded up to whole blocks.
    public internal(set) var bytesInUse = 0
    /// The most bytes that were in use at a time.
    public internal(set) var peakBytesInUse = 0
    /// Bytes that were got from the driver and that no tensor uses.
    public internal(set) var bytesCached = 0
    /// How often memory was asked for.
    public internal(set) var allocations = 0
    /// How often the driver had to be asked for it; none once a program repeats itself.
    public internal(set) var driverAllocations = 0
    /// How often a block was cut in two.
    public internal(set) var splits = 0
    /// How often two free blocks became one.
    public internal(set) var merges = 0
}

/// Device memory that is kept and handed out again: the driver's own calls wait for the device. Work runs in one stream, so a block may be
/// handed out as soon as its last user is gone, while kernels that read it are still to come.
///
/// Blocks are multiples of 512 bytes. Up to 1 MB they are cut from segments of 2 MB, up to 10 MB from segments of 20 MB, and larger ones
/// are segments of their own, in multiples of 2 MB. The smallest free block that holds a request serves it; what is left over stays free, and
/// neighbours that are free grow together. (The scheme of PyTorch's CUDA allocator.)
final class CUDAAllocator: @unchecked Sendable {
    static let unit = 512
    static let smallLimit = 1 << 20
    static let smallSegment = 2 << 20
    static let middleLimit = 10 << 20
    static let middleSegment = 20 << 20
    static let largeUnit = 2 << 20

    /// An address for what has no memory: an operation that is left out.
    nonisolated(unsafe) static let nowhere = UnsafeMutableRawPointer(bitPattern: 512)!

    private final class Block {
        let address: UInt64
        var size: Int
        let isSmall: Bool
        var isFree = false
        /// The neighbours in the same segment.
        unowned(unsafe) var before: Block?
        var after: Block?

        init(_ address: UInt64, _ size: Int, isSmall: Bool) {
            self.address = address
            self.size = size
            self.isSmall = isSmall
        }
    }

    /// Free blocks, the smallest first and, of equal ones, the first in memory.
    private struct Pool {
        var blocks: [Block] = []

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

    private let driver: CUDADriver
    private let context: tk_cu_context
    private let device: Int
    private let total: Int
    private let lock = Lock()
    private var small = Pool(), large = Pool()
    private var used: [UInt64: Block] = [:]
    private var counts = CUDAMemoryStatistics()

    init(_ driver: CUDADriver, _ context: tk_cu_context, device: Int, total: Int) {
        self.driver = driver
        self.context = context
        self.device = device
        self.total = total
    }

    var statistics: CUDAMemoryStatistics { lock.withLock { counts } }

    func resetPeak() { lock.withLock { counts.peakBytesInUse = counts.bytesInUse } }

    func allocate(_ bytes: Int) throws(CUDAError) -> UInt64 {
        let size = max(Self.unit, (bytes + Self.unit - 1) / Self.unit * Self.unit)
        return try lock.withLock { () throws(CUDAError) -> UInt64 in
            counts.allocations += 1
            let isSmall = size <= Self.smallLimit
            let block: Block
            if let cached = take(size, isSmall) { block = cached } else { block = try fresh(size, isSmall, bytes) }
            cut(block, size)
            block.isFree = false
            used[block.address] = block
            counts.bytesInUse += block.size
            counts.bytesCached -= block.size
            counts.peakBytesInUse = max(counts.peakBytesInUse, counts.bytesInUse)
            return block.address
        }
    }

    func deallocate(_ address: UInt64) {
        lock.withLock {
            guard let block = used.removeValue(forKey: address) else { return }
            counts.bytesInUse -= block.size
            counts.bytesCached += block.size
            release(block)
        }
    }

    /// Segments that no tensor uses go back to the driver.
    func emptyCache() { lock.withLock { returnSegments() } }

    // MARK: With the lock held

    private func insert(_ block: Block) { if block.isSmall { small.insert(block) } else { large.insert(block) } }
    private func remove(_ block: Block) { if block.isSmall { small.remove(block) } else { large.remove(block) } }

    private func take(_ size: Int, _ isSmall: Bool) -> Block? {
        guard let block = (isSmall ? small : large).smallest(holding: size) else { return nil }
        remove(block)
        return block
    }

    /// A segment of the driver, as one block.
    private func fresh(_ size: Int, _ isSmall: Bool, _ requested: Int) throws(CUDAError) -> Block {
        let bytes =
            isSmall
            ? Self.smallSegment
            : size <= Self.middleLimit ? Self.middleSegment : (size + Self.largeUnit - 1) / Self.largeUnit * Self.largeUnit
        _ = driver.functions.set_context(context)
        var address: tk_cu_address = 0
        var result = driver.functions.allocate(&address, bytes)
        if result == Int32(TK_CU_OUT_OF_MEMORY) {
            returnSegments()
            result = driver.functions.allocate(&address, bytes)
        }
        if result == Int32(TK_CU_OUT_OF_MEMORY) {
            throw .outOfMemory(
                requested: requested, inUse: counts.bytesInUse, cached: counts.bytesCached, total: total, device: device)
        }
        if result != Int32(TK_CU_SUCCESS) { throw .driverFailed("allocating \(bytes) bytes fails: \(driver.describe(result))") }
        counts.driverAllocations += 1
        counts.bytesCached += bytes
        return Block(address, bytes, isSmall: isSmall)
    }

    /// Leaves `size` bytes in a block and frees the rest, if that is worth keeping.
    private func cut(_ block: Block, _ size: Int) {
        let rest = block.size - size
        if block.isSmall ? rest < Self.unit : rest <= Self.smallLimit { return }
        let other = Block(block.address + UInt64(size), rest, isSmall: block.isSmall)
        other.isFree = true
        other.before = block
        other.after = block.after
        block.after?.before = other
        block.after = other
        block.size = size
        counts.splits += 1
        insert(other)
    }

    /// Frees a block, together with its neighbours if they are free.
    private func release(_ freed: Block) {
        var block = freed
        if let before = block.before, before.isFree {
            remove(before)
            join(before, block)
            block = before
        }
        if let after = block.after, after.isFree {
            remove(after)
            join(block, after)
        }
        block.isFree = true
        insert(block)
    }

    private func join(_ first: Block, _ second: Block) {
        let next = second.after
        first.size += second.size
        first.after = next
        next?.before = first
        counts.merges += 1
    }

    private func returnSegments() {
        for block in small.blocks + large.blocks where block.before == nil && block.after == nil {
            // Kernels may still be at work on it; the driver's call waits for them.
            _ = driver.functions.set_context(context)
            if driver.functions.deallocate(block.address) != Int32(TK_CU_SUCCESS) { continue }
            remove(block)
            counts.bytesCached -= block.size
        }
    }
}
