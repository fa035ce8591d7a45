/// Where a tensor's elements live.
public struct Device: Hashable, Sendable, CustomStringConvertible {
    public enum Kind: UInt8, Sendable { case cpu, cuda }
    public let kind: Kind
    public let index: UInt8

    init(kind: Kind, index: UInt8) {
        self.kind = kind
        self.index = index
    }

    public static let cpu = Device(kind: .cpu, index: 0)

    /// For backends that register a device of their own (see ``Backends/register(_:for:)``).
    public static func make(_ kind: Kind, index: Int) -> Device { Device(kind: kind, index: UInt8(index)) }

    public var description: String { kind == .cpu ? "cpu" : "cuda:\(index)" }
}
