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
