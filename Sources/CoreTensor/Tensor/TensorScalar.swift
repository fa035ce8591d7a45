/// A Swift number (or `Bool`) that can be an element, an operand or the content of a tensor.
public protocol TensorScalar: TensorElements, Sendable {
    /// The element type a tensor gets from values of this type. `Double` and `Int` stand for literals: `Double` gives
    /// `float32` (the type layers work in), `Int` gives `int64`; ask for others with `dtype:`.
    static var tensorDType: DType { get }
    /// The element type whose memory layout this Swift type has, if any.
    static var memoryDType: DType { get }
    var asDouble: Double { get }
    var asInt: Int { get }
    static func dtypeBeside(_ dtype: DType) -> DType
    static func from(double: Double) -> Self
    static func from(int: Int) -> Self
}

extension TensorScalar where Self: BinaryInteger {
    public var asDouble: Double { Double(self) }
    public var asInt: Int { Int(self) }
    public static func dtypeBeside(_ dtype: DType) -> DType { dtype == .bool ? .int64 : dtype }
    public static func from(double: Double) -> Self { Self(double) }
    public static func from(int: Int) -> Self { Self(truncatingIfNeeded: int) }
}

extension TensorScalar where Self: BinaryFloatingPoint {
    public var asDouble: Double { Double(self) }
    public var asInt: Int { Int(exactly: self.rounded(.towardZero)) ?? 0 }
    public static func dtypeBeside(_ dtype: DType) -> DType { dtype.isFloatingPoint ? dtype : .float32 }
    public static func from(double: Double) -> Self { Self(double) }
    public static func from(int: Int) -> Self { Self(int) }
}

extension Float: TensorScalar {
    public static var tensorDType: DType { .float32 }
    public static var memoryDType: DType { .float32 }
}
extension Double: TensorScalar {
    public static var tensorDType: DType { .float32 }
    public static var memoryDType: DType { .float64 }
}
extension Int: TensorScalar {
    public static var tensorDType: DType { .int64 }
    public static var memoryDType: DType { .int64 }
}
extension Int64: TensorScalar {
    public static var tensorDType: DType { .int64 }
    public static var memoryDType: DType { .int64 }
}
extension Int32: TensorScalar {
    public static var tensorDType: DType { .int32 }
    public static var memoryDType: DType { .int32 }
}
extension Int8: TensorScalar {
    public static var tensorDType: DType { .int8 }
    public static var memoryDType: DType { .int8 }
}
extension UInt8: TensorScalar {
    public static var tensorDType: DType { .uint8 }
    public static var memoryDType: DType { .uint8 }
}
extension Bool: TensorScalar {
    public static var tensorDType: DType { .bool }
    public static var memoryDType: DType { .bool }
    public var asDouble: Double { self ? 1 : 0 }
    public var asInt: Int { self ? 1 : 0 }
    public static func dtypeBeside(_ dtype: DType) -> DType { dtype }
    public static func from(double: Double) -> Bool { double != 0 }
    public static func from(int: Int) -> Bool { int != 0 }
}

/// Numbers and (nested) arrays of them: what a tensor can be made of.
public protocol TensorElements {
    associatedtype Scalar: TensorScalar
    var tensorShape: Shape { get }
    func appendScalars(to list: inout [Scalar])
}

extension TensorScalar {
    public var tensorShape: Shape { [] }
    public func appendScalars(to list: inout [Self]) { list.append(self) }
}

extension Array: TensorElements where Element: TensorElements {
    public typealias Scalar = Element.Scalar
    public var tensorShape: Shape {
        guard let first else { return [0] }
        let inner = first.tensorShape
        for (position, element) in enumerated() where element.tensorShape != inner {
            fail("Tensor", "ragged array: element \(position) has shape \(element.tensorShape), element 0 has \(inner)")
        }
        return [count] + inner
    }
    public func appendScalars(to list: inout [Scalar]) {
        if let scalars = self as? [Scalar] { list += scalars } else { for element in self { element.appendScalars(to: &list) } }
    }
}
