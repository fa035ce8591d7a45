import CKernels

/// A tensor without its tape: storage, layout, offset and element type. What backends work on.
public struct RawTensor: @unchecked Sendable {
    /// The memory that holds the elements, perhaps shared with other views.
    public var storage: Storage
    /// Shape and strides of the view.
    public var layout: Layout
    /// Position of the first element, in elements.
    public var offset: Int
    /// The type of the elements in memory.
    public var dtype: DType

    /// A view of `storage`; nothing is checked or copied. `offset` counts elements.
    @inline(__always)
    public init(storage: Storage, layout: Layout, offset: Int, dtype: DType) {
        self.storage = storage
        self.layout = layout
        self.offset = offset
        self.dtype = dtype
    }

    /// Dense and uninitialised.
    @inline(__always)
    public init(_ layout: Layout, _ dtype: DType, _ device: Device = .cpu) {
        let bytes = layout.count &* dtype.byteCount
        storage =
            device.kind == .cpu
            ? Storage(cpuByteCount: bytes) : Backends.backend(for: device).allocate(byteCount: bytes)
        self.layout = layout.isContiguous ? layout : .dense(layout.shape)
        offset = 0
        self.dtype = dtype
    }

    @inline(__always)
    init(shape: Shape, _ dtype: DType, _ device: Device = .cpu) {
        self.init(.dense(shape), dtype, device)
    }

    /// Address of the first element (a device address off the CPU).
    @inline(__always) public var pointer: UnsafeMutableRawPointer { storage.base + offset &* dtype.byteCount }
    /// Sizes per axis; `[]` for a scalar.
    @inline(__always) public var shape: Shape { layout.shape }
    /// The number of elements: the product of the shape.
    @inline(__always) public var count: Int { layout.count }
    /// Where the elements live.
    @inline(__always) public var device: Device { storage.device }
    /// Whether the elements are dense in row-major order.
    @inline(__always) public var isContiguous: Bool { layout.isContiguous }

    /// Whether `[batch, channels, in...]` lies in memory as a contiguous `[batch, in..., channels]`.
    var isChannelsLast: Bool {
        if shape.count < 3 { return false }
        var expected = 1
        for axis in [1] + (2..<shape.count).reversed() + [0] where shape[axis] != 1 {
            if layout.strides[axis] != expected { return false }
            expected *= shape[axis]
        }
        return true
    }

    /// Itself if dense, otherwise a dense copy.
    @inline(__always)
    func contiguous() -> RawTensor { layout.isContiguous ? self : denseCopy() }

    /// A dense copy in storage of its own.
    func denseCopy() -> RawTensor {
        let copy = RawTensor(layout, dtype, device)
        backend.copy(self, to: copy)
        return copy
    }

    /// The same elements seen through another layout.
    @inline(__always)
    func view(_ layout: Layout, offset: Int? = nil) -> RawTensor {
        RawTensor(storage: storage, layout: layout, offset: offset ?? self.offset, dtype: dtype)
    }

    func reshaped(_ shape: Shape) -> RawTensor { contiguous().view(.dense(shape)) }

    /// Broadcast to `shape` by zero strides; the caller has checked that it fits.
    public func broadcast(to shape: Shape) -> RawTensor {
        if layout.shape == shape { return self }
        let lead = shape.count - layout.rank
        var strides = [Int](repeating: 0, count: shape.count)
        for axis in 0..<layout.rank where layout.shape[axis] != 1 { strides[lead + axis] = layout.strides[axis] }
        return view(Layout(shape: shape, strides: strides))
    }

    /// What runs operations on these elements. Traps if the device has none in this program.
    @inline(__always) public var backend: any Backend {
        if tk_profiling() && device.kind != .recording { return ProfilingBackend(Backends.backend(for: device)) }
        return device.kind == .cpu ? CPUBackend.shared : Backends.backend(for: device)
    }

    /// Whether this value is the only one that can see the storage, so that it may be written in place.
    @inline(__always)
    mutating func isUniquelyReferenced() -> Bool { isKnownUniquelyReferenced(&storage) && !storage.isReadOnly }
}
