/// Records the work of a thread, to be run again and again without the host's part in it: for backends that can (CUDA graphs).
///
/// What the host decides anew in every run goes through here; all else is taken to be the same.
package protocol WorkCapture: AnyObject {
    /// Stands for the counters that each run will reserve from `generator`: a key and a position that kernels are handed in their place.
    func draw(_ generator: RandomGenerator, counters: UInt64) -> RandomGenerator.State
    /// Runs `body` now, recording its work, and then once before each run, on the host alone: the numbers that it hands to kernels are taken
    /// anew. `body` must give the same work each time.
    func perRun(_ body: @escaping () -> Void)
}

extension ThreadLocal {
    /// The capture in progress on the calling thread.
    package static var workCapture: (any WorkCapture)? {
        get { current.capture }
        set { current.capture = newValue }
    }
}
