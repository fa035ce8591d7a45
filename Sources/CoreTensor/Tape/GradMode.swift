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
