import CKernels

/// Whether operations on this thread are recorded.
public var isGradEnabled: Bool { tk_grad_enabled() }

/// Runs `body` without recording, as PyTorch's `no_grad`.
@discardableResult
public func withoutGrad<R>(_ body: () throws -> R) rethrows -> R {
    let depth = tk_get_grad_depth()
    tk_set_grad_depth(depth + 1)
    defer { tk_set_grad_depth(depth) }
    return try body()
}

/// Runs `body` with recording on, also inside ``withoutGrad(_:)``.
@discardableResult
public func withGrad<R>(_ body: () throws -> R) rethrows -> R {
    let depth = tk_get_grad_depth()
    tk_set_grad_depth(0)
    defer { tk_set_grad_depth(depth) }
    return try body()
}

/// Recording switched on or off for a while, for engines: as ``withGrad(_:)`` and ``withoutGrad(_:)``, without a closure.
public struct RecordingState {
    private let depth: Int32

    /// Switches recording on (`true`) or off until ``end()``, which must follow on the same thread.
    public static func begin(_ records: Bool) -> RecordingState {
        let depth = tk_get_grad_depth()
        tk_set_grad_depth(records ? 0 : depth + 1)
        return RecordingState(depth: depth)
    }

    /// Puts back what was.
    public func end() { tk_set_grad_depth(depth) }
}
