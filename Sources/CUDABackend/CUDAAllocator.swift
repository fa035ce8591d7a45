import CCUDA
import CoreTensor

/// Device memory that is kept and handed out again: the driver's own calls wait for the device. A block belongs to the stream it was first
/// got for, whose work runs in order: there it may be handed out as soon as its last user is gone, while kernels that read it are still to
/// come. If other streams have used it, it waits for events at the end of their work. When the driver has no more, free segments of one
/// stream go over to another, which waits for an event in turn.
///
/// Blocks are multiples of 512 bytes. Up to 1 MB they are cut from segments of 2 MB, up to 10 MB from segments of 20 MB, and larger ones
/// are segments of their own, in multiples of 2 MB. The smallest free block that holds a request serves it; what is left over stays free, and
/// neighbours that are free grow together. (The scheme of PyTorch's CUDA allocator.)
///
/// A graph's work is given memory of a pool of its own, and memory from outside that it uses is kept for it (``Block/graphs``).
final class CUDAAllocator: @unchecked Sendable {
    static let unit = 512
    static let smallLimit = 1 << 20
    static let smallSegment = 2 << 20
    static let middleLimit = 10 << 20
    static let middleSegment = 20 << 20
    static let largeUnit = 2 << 20

    /// An address for what has no memory: an operation that is left out.
    nonisolated(unsafe) static let nowhere = UnsafeMutableRawPointer(bitPattern: 512)!

    private let driver: CUDADriver
    private let context: tk_cu_context
    private let device: Int
    private let total: Int
    private let lock = Lock()
    private let defaultPool: Pool
    private var pools: [tk_cu_stream: Pool] = [:]
    private var used: [UInt64: Block] = [:]
    /// Blocks without a tensor that work of other streams may still use, with the ends of that work.
    private var pending: [(block: Block, events: [tk_cu_event])] = []
    private var spareEvents: [tk_cu_event] = []
    private var counts = CUDAMemoryStatistics()

    init(_ driver: CUDADriver, _ context: tk_cu_context, device: Int, total: Int, stream: tk_cu_stream) {
        self.driver = driver
        self.context = context
        self.device = device
        self.total = total
        defaultPool = Pool(stream)
        pools[stream] = defaultPool
    }

    var statistics: CUDAMemoryStatistics { lock.withLock { counts } }

    func resetPeak() { lock.withLock { counts.peakBytesInUse = counts.bytesInUse } }

    /// Memory for work of `stream` (nil: the default one), or of the graph whose pool is given.
    func allocate(_ bytes: Int, for stream: tk_cu_stream? = nil, in graph: Pool? = nil) throws(CUDAError) -> UInt64 {
        let size = max(Self.unit, (bytes + Self.unit - 1) / Self.unit * Self.unit)
        return try lock.withLock { () throws(CUDAError) -> UInt64 in
            counts.allocations += 1
            let isSmall = size <= Self.smallLimit, pool = graph ?? pool(of: stream)
            if !pending.isEmpty { collect(waiting: false) }
            let block: Block
            if let cached = take(size, isSmall, pool) { block = cached } else { block = try fresh(size, isSmall, bytes, pool) }
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
            if block.graphs > 0 { block.isAbandoned = true } else { retire(block) }
        }
    }

    /// Segments that no tensor uses go back to the driver; waits for work that may still use them.
    func emptyCache() {
        lock.withLock {
            collect(waiting: true)
            returnSegments()
        }
    }

    /// Notes that work of `stream` uses a block.
    func use(_ address: UInt64, by stream: tk_cu_stream) {
        lock.withLock {
            guard let block = used[address], block.pool.stream != stream, !block.users.contains(stream) else { return }
            block.users.append(stream)
        }
    }

    /// A stream's blocks become the default stream's, which waits for the work given to it.
    func streamEnds(_ stream: tk_cu_stream) {
        lock.withLock {
            for block in used.values { block.users.removeAll { $0 == stream } }
            guard let pool = pools.removeValue(forKey: stream) else { return }
            order(stream, before: defaultPool.stream!)
            dissolve(pool)
        }
    }

    // MARK: Graphs

    /// Notes that a graph's work uses a block from outside of its pool, and gives it, if it was not noted before.
    func use(_ address: UInt64, byGraph pool: Pool, _ isKnown: (Block) -> Bool) -> Block? {
        lock.withLock {
            guard let block = used[address], block.pool !== pool, !isKnown(block) else { return nil }
            block.graphs += 1
            return block
        }
    }

    /// Bytes of the blocks that lost their tensors since graphs use them.
    func abandonedBytes(_ blocks: [Block]) -> Int { lock.withLock { blocks.reduce(0) { $0 + ($1.isAbandoned ? $1.size : 0) } } }

    /// The end of a graph whose work is done.
    func graphEnds(_ pool: Pool, _ blocks: [Block]) {
        lock.withLock {
            for block in blocks {
                block.graphs -= 1
                if block.graphs == 0 && block.isAbandoned {
                    block.isAbandoned = false
                    retire(block)
                }
            }
            dissolve(pool)
        }
    }

    // MARK: With the lock held

    private func pool(of stream: tk_cu_stream?) -> Pool {
        guard let stream, stream != defaultPool.stream else { return defaultPool }
        if let pool = pools[stream] { return pool }
        let pool = Pool(stream)
        pools[stream] = pool
        return pool
    }

    private func take(_ size: Int, _ isSmall: Bool, _ pool: Pool) -> Block? {
        guard let block = pool.smallest(holding: size, isSmall: isSmall) else { return nil }
        pool.remove(block)
        return block
    }

    /// A segment of the driver, or of another stream, as one block.
    private func fresh(_ size: Int, _ isSmall: Bool, _ requested: Int, _ pool: Pool) throws(CUDAError) -> Block {
        let bytes =
            isSmall
            ? Self.smallSegment
            : size <= Self.middleLimit ? Self.middleSegment : (size + Self.largeUnit - 1) / Self.largeUnit * Self.largeUnit
        _ = driver.functions.set_context(context)
        var address: tk_cu_address = 0
        var result = driver.functions.allocate(&address, bytes)
        if result == Int32(TK_CU_OUT_OF_MEMORY) {
            if let block = borrow(size, isSmall, pool) { return block }
            collect(waiting: true)
            if let block = take(size, isSmall, pool) { return block }
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
        return Block(address, bytes, isSmall: isSmall, pool)
    }

    /// A free segment of another stream, after whose work `pool`'s stream goes on.
    private func borrow(_ size: Int, _ isSmall: Bool, _ pool: Pool) -> Block? {
        guard let stream = pool.stream else { return nil }
        for other in pools.values where other !== pool {
            let list = isSmall ? other.small : other.large
            guard let block = list.blocks.first(where: { $0.size >= size && $0.isWholeSegment }) else { continue }
            order(other.stream!, before: stream)
            other.remove(block)
            block.pool = pool
            return block
        }
        return nil
    }

    /// Leaves `size` bytes in a block and frees the rest, if that is worth keeping.
    private func cut(_ block: Block, _ size: Int) {
        let rest = block.size - size
        if block.isSmall ? rest < Self.unit : rest <= Self.smallLimit { return }
        let other = Block(block.address + UInt64(size), rest, isSmall: block.isSmall, block.pool)
        other.isFree = true
        other.before = block
        other.after = block.after
        block.after?.before = other
        block.after = other
        block.size = size
        counts.splits += 1
        block.pool.insert(other)
    }

    /// Frees a block now, or when the other streams that used it have come so far.
    private func retire(_ block: Block) {
        if block.users.isEmpty { return release(block) }
        let events = block.users.map { stream in
            let event = takeEvent()
            _ = driver.functions.record_event(event, stream)
            return event
        }
        block.users = []
        pending.append((block, events))
    }

    /// Frees the blocks whose users are done.
    private func collect(waiting: Bool) {
        _ = driver.functions.set_context(context)
        pending.removeAll { block, events in
            for event in events {
                if waiting {
                    _ = driver.functions.synchronize_event(event)
                } else if driver.functions.query_event(event) == Int32(TK_CU_NOT_READY) {
                    return false
                }
            }
            spareEvents += events
            release(block)
            return true
        }
    }

    /// Frees a block, together with its neighbours if they are free.
    private func release(_ freed: Block) {
        var block = freed
        if let successor = block.pool.successor { block.pool = successor }
        if let before = block.before, before.isFree {
            before.pool.remove(before)
            join(before, block)
            block = before
        }
        if let after = block.after, after.isFree {
            after.pool.remove(after)
            join(block, after)
        }
        block.isFree = true
        block.pool.insert(block)
    }

    private func join(_ first: Block, _ second: Block) {
        let next = second.after
        first.size += second.size
        first.after = next
        next?.before = first
        counts.merges += 1
    }

    /// Gives a pool's blocks to the default stream's.
    private func dissolve(_ pool: Pool) {
        for block in pool.blocks {
            pool.remove(block)
            block.pool = defaultPool
            defaultPool.insert(block)
        }
        pool.successor = defaultPool
    }

    private func returnSegments() {
        for pool in pools.values {
            for block in pool.blocks where block.isWholeSegment {
                // Kernels may still be at work on it; the driver's call waits for them.
                _ = driver.functions.set_context(context)
                if driver.functions.deallocate(block.address) != Int32(TK_CU_SUCCESS) { continue }
                pool.remove(block)
                counts.bytesCached -= block.size
            }
        }
    }

    /// Lets `second` go on only after what `first` was given so far.
    private func order(_ first: tk_cu_stream, before second: tk_cu_stream) {
        let event = takeEvent()
        _ = driver.functions.record_event(event, first)
        _ = driver.functions.stream_waits(second, event, 0)
        spareEvents.append(event)
    }

    private func takeEvent() -> tk_cu_event {
        _ = driver.functions.set_context(context)
        if let spare = spareEvents.popLast() { return spare }
        var event: tk_cu_event?
        let result = driver.functions.create_event(&event, UInt32(TK_CU_EVENT_NO_TIMING))
        guard let event, result == Int32(TK_CU_SUCCESS) else {
            fail("allocate", "the driver makes no event: \(driver.describe(result))")
        }
        return event
    }
}
