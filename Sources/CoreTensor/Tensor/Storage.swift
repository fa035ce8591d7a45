import CKernels

/// A block of memory on one device, shared by the tensors that view it and freed with the last of them.
public final class Storage: @unchecked Sendable {
    private let address: UnsafeMutableRawPointer
    /// What the memory is to hold, where nobody has looked at it yet.
    let pending: PendingRows?
    /// Size of the block in bytes, as asked for.
    public let byteCount: Int
    /// The device whose memory this is.
    public let device: Device
    /// Keeps foreign memory alive (a mapped file, say). Such memory is never written to.
    package let owner: AnyObject?

    /// Address of the first byte (a device address off the CPU).
    @inline(__always)
    public var base: UnsafeMutableRawPointer {
        if let pending { pending.place(at: address) }
        return address
    }

    /// Fresh memory from the CPU's caching allocator; its content is undefined, or made of `pending` when it is first looked at.
    @inline(__always)
    init(cpuByteCount byteCount: Int, pending: PendingRows? = nil) {
        guard let memory = tk_alloc(byteCount) else { fail("allocate", "no memory for \(byteCount) bytes") }
        address = memory
        self.pending = pending
        self.byteCount = byteCount
        device = .cpu
        owner = nil
    }

    /// Memory that a backend allocated; its ``Backend/deallocate(_:byteCount:)`` takes it back.
    public init(base: UnsafeMutableRawPointer, byteCount: Int, device: Device) {
        address = base
        pending = nil
        self.byteCount = byteCount
        self.device = device
        owner = nil
    }

    /// Read-only memory that `owner` keeps alive.
    public init(readOnly base: UnsafeRawPointer, byteCount: Int, owner: AnyObject) {
        address = UnsafeMutableRawPointer(mutating: base)
        pending = nil
        self.byteCount = byteCount
        device = .cpu
        self.owner = owner
    }

    @inline(__always) var isReadOnly: Bool { owner != nil }

    deinit {
        if owner != nil { return }
        if device.kind == .cpu {
            tk_free(address, byteCount)
        } else {
            Backends.backend(for: device).deallocate(address, byteCount: byteCount)
        }
    }
}
