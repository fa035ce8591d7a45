/// The sizes of a tensor's axes, outermost first; `[]` is a scalar.
public typealias Shape = [Int]

/// How a tensor's elements lie in its storage: shape, strides (in elements) and what follows from them. Immutable and
/// shared, so that two tensors of one shape usually hold the very same object and compare by identity.
public final class Layout: Sendable {
    /// Sizes per axis, outermost first; `[]` for a scalar.
    public let shape: Shape
    /// Elements to step over per axis; 0 repeats (a broadcast axis), negative runs backwards.
    public let strides: [Int]
    /// The number of elements: the product of the shape.
    public let count: Int
    /// Whether the elements are dense and in row-major order.
    public let isContiguous: Bool

    /// The layout of a single element, shape `[]`.
    public static let scalar = Layout(shape: [])

    /// The dense row-major layout. Traps if the number of elements overflows.
    public init(shape: Shape) {
        self.shape = shape
        var step = 1
        var isEmpty = false
        strides = Array(unsafeUninitializedCapacity: shape.count) { strides, initialized in
            for axis in (0..<shape.count).reversed() {
                (strides.baseAddress! + axis).initialize(to: step)
                if shape[axis] == 0 { isEmpty = true }
                let (product, overflow) = step.multipliedReportingOverflow(by: max(shape[axis], 1))
                if overflow { fail("shape", "\(shape) has more elements than an Int can count") }
                step = product
            }
            initialized = shape.count
        }
        count = isEmpty ? 0 : step
        isContiguous = true
    }

    /// As ``init(shape:)``, but rather the layout that the thread made last time: it lasts as long as its users, and most
    /// shapes come back.
    @inline(__always)
    static func dense(_ shape: Shape) -> Layout {
        shape.isEmpty ? .scalar : ThreadLocal.current.layouts.layout(shape)
    }

    /// `dense([rows, columns])`, without an array for the shape.
    @inline(__always)
    static func dense(_ rows: Int, _ columns: Int) -> Layout { ThreadLocal.current.layouts.layout(rows, columns) }

    /// A layout with strides of its own; the caller answers for every element lying in the storage.
    public init(shape: Shape, strides: [Int]) {
        self.shape = shape
        self.strides = strides
        var count = 1
        for size in shape { count *= size }
        self.count = count
        var expected = 1
        var contiguous = true
        var axis = shape.count - 1
        while axis >= 0 {
            if shape[axis] != 1 && strides[axis] != expected { contiguous = false; break }
            expected *= shape[axis]
            axis -= 1
        }
        isContiguous = contiguous || count == 0
    }

    /// The same elements in the same order in another shape of as many, without a copy; nil where strides do not allow that. After
    /// PyTorch's `computeStride`: axes that lie in memory as one are cut anew.
    func regrouped(_ target: Shape) -> Layout? {
        if count == 0 || rank == 0 { return nil }
        var newStrides = [Int](repeating: 0, count: target.count)
        var axis = target.count - 1, base = strides[rank - 1], old = 1, new = 1
        for d in (0..<rank).reversed() {
            old *= shape[d]
            if d > 0 && (shape[d - 1] == 1 || strides[d - 1] == old * base) { continue }
            while axis >= 0 && (new < old || target[axis] == 1) {
                newStrides[axis] = new * base
                new *= target[axis]
                axis -= 1
            }
            if new != old { return nil }
            if d > 0 {
                base = strides[d - 1]
                old = 1
                new = 1
            }
        }
        return axis < 0 ? Layout(shape: target, strides: newStrides) : nil
    }

    @inline(__always) var rank: Int { shape.count }

    @inline(__always) static func sameShape(_ a: Layout, _ b: Layout) -> Bool { a === b || a.shape == b.shape }
}

/// The dense layouts that a thread made last, one for each value of a small hash: a layout costs three allocations to make.
final class LayoutCache {
    private static let size = 128
    @exclusivity(unchecked) private var entries = [Layout?](repeating: nil, count: LayoutCache.size)

    @inline(__always)
    private static func place(_ hash: UInt) -> Int { Int((hash &* 0x9E37_79B9_7F4A_7C15) >> 57) }

    func layout(_ shape: Shape) -> Layout {
        var hash = UInt(bitPattern: shape.count)
        for size in shape { hash = hash &* 31 &+ UInt(bitPattern: size) }
        let place = Self.place(hash)
        if let entry = entries[place], entry.shape == shape { return entry }
        let fresh = Layout(shape: shape)
        entries[place] = fresh
        return fresh
    }

    func layout(_ rows: Int, _ columns: Int) -> Layout {
        let place = Self.place((62 &+ UInt(bitPattern: rows)) &* 31 &+ UInt(bitPattern: columns))
        if let entry = entries[place], entry.shape.count == 2, entry.shape[0] == rows, entry.shape[1] == columns { return entry }
        let fresh = Layout(shape: [rows, columns])
        entries[place] = fresh
        return fresh
    }
}
