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
        var strides = shape
        var step = 1
        var axis = shape.count - 1
        while axis >= 0 {
            strides[axis] = step
            let (product, overflow) = step.multipliedReportingOverflow(by: max(shape[axis], 1))
            if overflow { fail("shape", "\(shape) has more elements than an Int can count") }
            step = product
            axis -= 1
        }
        self.strides = strides
        count = shape.contains(0) ? 0 : step
        isContiguous = true
    }

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

    @inline(__always) var rank: Int { shape.count }

    @inline(__always) static func sameShape(_ a: Layout, _ b: Layout) -> Bool { a === b || a.shape == b.shape }
}
