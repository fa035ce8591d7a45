#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// SIGINT and SIGTERM noted instead of ending the program, until ``end()``. A second signal ends it at once.
final class Interruption {
    nonisolated(unsafe) private static var raised: sig_atomic_t = 0
    private var before: [(code: Int32, action: sigaction)] = []

    init() {
        Interruption.raised = 0
        for code in [SIGINT, SIGTERM] {
            var action = sigaction(), old = sigaction()
            action.__sigaction_handler.sa_handler = { code in
                if Interruption.raised != 0 { _exit(128 + code) }
                Interruption.raised = code
            }
            sigaction(code, &action, &old)
            before.append((code, old))
        }
    }

    /// Puts back what signals did before.
    func end() {
        for (code, action) in before {
            var action = action
            sigaction(code, &action, nil)
        }
    }

    /// The signal that came, if any.
    var signal: Int32? { Interruption.raised == 0 ? nil : Interruption.raised }
}
