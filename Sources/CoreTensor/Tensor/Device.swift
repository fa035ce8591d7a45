/// Where a tensor's elements live.
public struct Device: Hashable, Sendable, CustomStringConvertible {
    /// Host memory or a CUDA accelerator. `cuda` needs a backend that the program registered. Tensors of `recording` have no elements:
    /// they are what the arguments of ``fused(_:)`` are while it is recorded.
    public enum Kind: UInt8, Sendable { case cpu, cuda, recording }
    /// What sort of device this is.
    public let kind: Kind
    /// Which device of its kind, from 0.
    public let index: UInt8

    init(kind: Kind, index: UInt8) {
        self.kind = kind
        self.index = index
    }

    /// The host's memory, on which all tensors start unless told otherwise.
    public static let cpu = Device(kind: .cpu, index: 0)

    static let recording = Device(kind: .recording, index: 0)

    /// For backends that register a device of their own (see ``Backends/register(_:for:)``).
    public static func make(_ kind: Kind, index: Int) -> Device { Device(kind: kind, index: UInt8(index)) }

    /// "cpu", or kind and index: "cuda:0".
    public var description: String { kind == .cuda ? "cuda:\(index)" : "\(kind)" }
}
