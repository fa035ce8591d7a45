/// A Swift number (or `Bool`) that can be an element, an operand or the content of a tensor.
public protocol TensorScalar: TensorElements, Sendable {
    /// The element type a tensor gets from values of this type. `Double` and `Int` stand for literals: `Double` gives
    /// `float32` (the type layers work in), `Int` gives `int64`; ask for others with `dtype:`.
    static var tensorDType: DType { get }
    /// The element type whose memory layout this Swift type has.
    static var memoryDType: DType { get }
    /// The value as a floating-point element takes it; true is 1.
    var asDouble: Double { get }
    /// The value as an integer element takes it: fractions are cut towards zero.
    var asInt: Int { get }
    /// The imaginary part; 0 for real numbers.
    var asImaginary: Double { get }
    /// The type this number takes as an operand of a tensor of type `dtype`: that type where it can hold the number's kind.
    static func dtypeBeside(_ dtype: DType) -> DType
}

extension TensorScalar {
    /// 0.
    public var asImaginary: Double { 0 }
}

extension TensorScalar where Self: BinaryInteger {
    /// The nearest `Double`.
    public var asDouble: Double { Double(self) }
    /// The same number; traps if no `Int` can hold it.
    public var asInt: Int { Int(self) }
    /// The tensor's own type; `int64` beside bools.
    public static func dtypeBeside(_ dtype: DType) -> DType { dtype == .bool ? .int64 : dtype }
}

extension TensorScalar where Self: BinaryFloatingPoint {
    /// The nearest `Double`.
    public var asDouble: Double { Double(self) }
    /// Cut towards zero; 0 for NaN, infinities and what no `Int` can hold.
    public var asInt: Int { Int(exactly: self.rounded(.towardZero)) ?? 0 }
    /// The tensor's own type if it is a float or complex; `float32` beside integers and bools.
    public static func dtypeBeside(_ dtype: DType) -> DType { dtype.isDifferentiable ? dtype : .float32 }
}

extension Float: TensorScalar {
    /// `float32`.
    public static var tensorDType: DType { .float32 }
    /// `float32`, which a `Float` is in memory.
    public static var memoryDType: DType { .float32 }
}
extension Double: TensorScalar {
    /// `float32`: a `Double` is what a literal fraction is; ask for `float64` with `dtype:`.
    public static var tensorDType: DType { .float32 }
    /// `float64`, which a `Double` is in memory.
    public static var memoryDType: DType { .float64 }
}
extension Int: TensorScalar {
    /// `int64`.
    public static var tensorDType: DType { .int64 }
    /// `int64`, which an `Int` is in memory.
    public static var memoryDType: DType { .int64 }
}
extension Int64: TensorScalar {
    /// `int64`.
    public static var tensorDType: DType { .int64 }
    /// `int64`, which an `Int64` is in memory.
    public static var memoryDType: DType { .int64 }
}
extension Int32: TensorScalar {
    /// `int32`.
    public static var tensorDType: DType { .int32 }
    /// `int32`, which an `Int32` is in memory.
    public static var memoryDType: DType { .int32 }
}
extension Int8: TensorScalar {
    /// `int8`.
    public static var tensorDType: DType { .int8 }
    /// `int8`, which an `Int8` is in memory.
    public static var memoryDType: DType { .int8 }
}
extension UInt8: TensorScalar {
    /// `uint8`.
    public static var tensorDType: DType { .uint8 }
    /// `uint8`, which a `UInt8` is in memory.
    public static var memoryDType: DType { .uint8 }
}
extension Bool: TensorScalar {
    /// `bool`.
    public static var tensorDType: DType { .bool }
    /// `bool`, one byte of 0 or 1 as a `Bool` is in memory.
    public static var memoryDType: DType { .bool }
    /// 1 for true, 0 for false.
    public var asDouble: Double { self ? 1 : 0 }
    /// 1 for true, 0 for false.
    public var asInt: Int { self ? 1 : 0 }
    /// The tensor's own type: every type can hold a bool.
    public static func dtypeBeside(_ dtype: DType) -> DType { dtype }
}

/// Numbers and (nested) arrays of them: what a tensor can be made of.
public protocol TensorElements {
    /// The numbers at the bottom of the nesting.
    associatedtype Scalar: TensorScalar
    /// Sizes per level of nesting, outermost first; `[]` for a number. Traps on ragged arrays.
    var tensorShape: Shape { get }
    /// Adds the numbers to `list` in row-major order.
    func appendScalars(to list: inout [Scalar])
}

extension TensorScalar {
    /// `[]`: a number is a scalar.
    public var tensorShape: Shape { [] }
    /// Adds the number itself.
    public func appendScalars(to list: inout [Self]) { list.append(self) }
}

extension Array: TensorElements where Element: TensorElements {
    /// The numbers at the bottom of the nesting.
    public typealias Scalar = Element.Scalar
    /// The number of elements, then the shape that all of them share; `[0]` if empty. Traps on ragged arrays.
    public var tensorShape: Shape {
        guard let first else { return [0] }
        let inner = first.tensorShape
        for (position, element) in enumerated() where element.tensorShape != inner {
            fail("Tensor", "ragged array: element \(position) has shape \(element.tensorShape), element 0 has \(inner)")
        }
        return [count] + inner
    }
    /// Adds the numbers of every element in turn.
    public func appendScalars(to list: inout [Scalar]) {
        if let scalars = self as? [Scalar] { list += scalars } else { for element in self { element.appendScalars(to: &list) } }
    }
}
