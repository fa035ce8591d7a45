import CCUDA
import CoreTensor

/// What a thread gives to a device while a graph is captured: the driver records the work itself; here is what has to change from replay to
/// replay, and who uses which memory.
///
/// Random numbers: a key and a position are handed to kernels as marks, which are looked for in the launches' arguments and replaced before
/// each replay. Host steps (an optimizer's) run once more before each replay, and their launches are compared with those that were captured:
/// numbers may differ, and go into the graph; anything else means that the graph is no longer what the program would do.
final class Recorder: WorkCapture {
    /// A launch, copy or fill, in the order of the capture.
    enum Entry {
        case launch(Launch)
        case copy(to: UInt64, from: UInt64, bytes: Int)
        case fill(to: UInt64, value: UInt8, bytes: Int)
    }
    /// A kernel and the bytes of its arguments.
    struct Launch {
        let kernel: KernelName
        let function: tk_cu_function
        let grid: (Int, Int), block: (Int, Int), shared: Int
        var bytes: [UInt8] = []
        /// Where arguments lie in `bytes`, and which of them are an optimizer's numbers, that may change from step to step.
        var arguments: [(range: Range<Int>, mayChange: Bool)] = []
        /// The driver's name of it, when it was captured.
        var node: tk_cu_graph_node?

        init(_ kernel: KernelName, _ function: tk_cu_function, grid: (Int, Int), block: (Int, Int), shared: Int) {
            (self.kernel, self.function, self.grid, self.block, self.shared) = (kernel, function, grid, block, shared)
        }

        mutating func add<A: BitwiseCopyable>(_ argument: A) {
            withUnsafeBytes(of: argument) {
                let isNumbers =
                    A.self == tk_cuda_adam.self || A.self == tk_cuda_sgd.self || A.self == tk_cuda_rmsprop.self
                    || A.self == tk_cuda_sweep.self
                arguments.append((bytes.count..<bytes.count + $0.count, isNumbers))
                bytes += $0
            }
            while bytes.count % 16 != 0 { bytes.append(0) }
        }
    }
    /// Counters that each replay takes from a generator, and the places of launches that want to know which.
    struct Draw {
        let generator: RandomGenerator
        let counters: UInt64
        var places: [(entry: Int, key: Int, position: Int, ahead: UInt64)] = []
    }
    /// Work of the host before each replay, and what it launched.
    struct HostStep {
        let body: () -> Void
        let entries: Range<Int>
    }
    let context: CUDAContext
    /// The memory of what the graph computes.
    let pool = CUDAAllocator.Pool(nil)
    var entries: [Entry] = []
    var draws: [Draw] = []
    var hostSteps: [HostStep] = []
    /// The limits of the index checks that replays make. The first bad position of each comes to a word of `findings`.
    private(set) var limits: [Int] = []
    let findings: PinnedMemory.Block
    /// Memory from outside that the graph's work uses.
    private(set) var outside: [CUDAAllocator.Block] = []
    private var known: Set<ObjectIdentifier> = []
    private let stream: tk_cu_stream
    private var isInHostStep = false
    /// Before a replay: the next entry that a host step is expected to launch, and those whose arguments have changed.
    private var expected: Int?
    private(set) var changed: Set<Int> = []
    private(set) var difference: String?

    init(_ context: CUDAContext, _ stream: tk_cu_stream) throws(CUDAError) {
        self.context = context
        self.stream = stream
        findings = try context.pinned.allocate(8 * Self.mostChecks)
        findings.address.initializeMemory(as: UInt64.self, repeating: .max, count: Self.mostChecks)
    }

    private static let mostChecks = 1024

    /// Whether work may be given to the stream past the backend's launches.
    var allowsLibraries: Bool { expected == nil && !isInHostStep }

    /// Where new memory comes from: outside of the graph's pool for what a host step does before a replay, to no good end.
    var poolInForce: CUDAAllocator.Pool? { expected == nil ? pool : nil }

    /// The recorder of the calling thread.
    static var current: Recorder? {
        guard let pointer = tk_cuda_get_recorder() else { return nil }
        return Unmanaged<Recorder>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Runs `body` with this as the thread's recorder.
    func whileCurrent<R>(_ body: () throws -> R) rethrows -> R {
        let before = tk_cuda_get_recorder()
        tk_cuda_set_recorder(Unmanaged.passUnretained(self).toOpaque())
        defer {
            tk_cuda_set_recorder(before)
            withExtendedLifetime(self) {}
        }
        return try body()
    }

    /// Reports that something cannot be captured.
    func refuse(_ what: String) {
        if expected != nil { return differs(what) }
        context.report(.notCapturable("\(what) in a capture, which a replay cannot do; do it outside"), "Graph.capture")
    }

    // MARK: Capturing

    /// Takes note of work; false if it is not to be given to the driver.
    func records(_ entry: Entry) -> Bool {
        if expected != nil { return isExpected(entry) }
        entries.append(entry)
        return true
    }

    func records(_ launch: Launch) -> Bool {
        if !records(.launch(launch)) { return false }
        findDraws(launch, entries.count - 1)
        return true
    }

    /// Asks the driver for the node of the launch that it has just captured.
    func findNode() {
        guard expected == nil, case .launch(var launch)? = entries.last else { return }
        var status: Int32 = 0, id: UInt64 = 0, count = 0
        var graph: tk_cu_graph?
        var last: UnsafePointer<tk_cu_graph_node?>?
        let result = context.driver.functions.capture_info(stream, &status, &id, &graph, &last, &count)
        if result == Int32(TK_CU_SUCCESS), status == Int32(TK_CU_CAPTURE_ACTIVE), count == 1, let last { launch.node = last[0] }
        entries[entries.count - 1] = .launch(launch)
    }

    func allocates(_ bytes: Int) {
        if expected != nil {
            return differs("it asks for \(bytes) bytes, as where a tensor that it writes is shared with another")
        }
        if isInHostStep { refuse("an optimizer's step asks for memory") }
    }

    /// Notes memory from outside.
    func uses(_ base: UInt64) {
        if expected != nil { return }
        if let block = context.allocator.use(base, byGraph: pool, { known.contains(ObjectIdentifier($0)) }) {
            known.insert(ObjectIdentifier(block))
            outside.append(block)
        }
    }

    /// Has replays bring the position that an index check found, at `address`, to the host. Always nil: nothing is known yet.
    func looksLater(_ address: UInt64, _ limit: Int) -> Int? {
        if limits.count == Self.mostChecks { refuse("more than \(Self.mostChecks) checks of indices") }
        if expected != nil || ErrorScope.hasFailed { return nil }
        context.copyToPinned(findings.address + 8 * limits.count, address, 8)
        limits.append(limit)
        return nil
    }

    /// The first finding of replays that are done, as a sentence.
    var finding: String? {
        let words = findings.address.assumingMemoryBound(to: UInt64.self)
        for (place, limit) in limits.enumerated() where words[place] != .max {
            return "the index at position \(words[place]) of an index tensor was outside 0 ..< \(limit) in a replay"
        }
        return nil
    }

    func perRun(_ body: @escaping () -> Void) {
        let first = entries.count
        isInHostStep = true
        body()
        isInHostStep = false
        hostSteps.append(HostStep(body: body, entries: first..<entries.count))
    }

    // MARK: Random numbers

    // Marks that no true key or position, address or size is taken for.
    private static let key: UInt64 = 0xd6e8_feb8_6659_fd93
    private static let position: UInt64 = 0x29a7_5c3e_0000_0000

    func draw(_ generator: RandomGenerator, counters: UInt64) -> RandomGenerator.State {
        draws.append(Draw(generator: generator, counters: counters))
        return .init(seed: Self.key &+ UInt64(draws.count), position: Self.position)
    }

    private func findDraws(_ launch: Launch, _ entry: Int) {
        if draws.isEmpty { return }
        launch.bytes.withUnsafeBytes { bytes in
            func word(_ place: Int) -> UInt64? {
                place + 8 <= bytes.count ? bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self) : nil
            }
            for place in stride(from: 0, to: bytes.count, by: 8) {
                let number = word(place)! &- Self.key
                if number == 0 || number > UInt64(draws.count) { continue }
                // The position follows as the next field of a structure or the next argument.
                for next in [place + 8, place + 16] {
                    guard let ahead = word(next).map({ $0 &- Self.position }), ahead < max(draws[Int(number) - 1].counters, 1)
                    else { continue }
                    draws[Int(number) - 1].places.append((entry, place, next, ahead))
                    break
                }
            }
        }
    }

    // MARK: Replays

    /// Takes all numbers of the host anew. Returns what is no longer as it was captured, if anything is.
    func prepareReplay() -> String? {
        (changed, difference) = ([], nil)
        whileCurrent {
            for step in hostSteps {
                expected = step.entries.lowerBound
                step.body()
                if difference == nil && expected != step.entries.upperBound { differs("it launches less") }
            }
            expected = nil
        }
        if difference != nil { return difference }
        for draw in draws {
            let state = draw.generator.reserve(counters: draw.counters)
            for place in draw.places {
                write(state.seed, place.entry, place.key)
                write(state.position &+ place.ahead, place.entry, place.position)
            }
        }
        return nil
    }

    private func write(_ value: UInt64, _ entry: Int, _ place: Int) {
        guard case .launch(var launch) = entries[entry] else { return }
        withUnsafeBytes(of: value) { bytes in launch.bytes.replaceSubrange(place..<place + 8, with: bytes) }
        entries[entry] = .launch(launch)
        changed.insert(entry)
    }

    private func differs(_ what: String) { if difference == nil { difference = what } }

    /// Compares work of a host step with what was captured. Never true but for copies that should not be there: they are made, so that no
    /// tensor is left without its values.
    private func isExpected(_ entry: Entry) -> Bool {
        let place = expected!
        expected = place + 1
        let captured = entries.indices.contains(place) ? entries[place] : nil
        switch (captured, entry) {
        case (.launch(let old), .launch(let new)):
            if !agrees(old, new) {
                differs("\(new.kernel) is launched otherwise")
            } else if old.bytes != new.bytes {
                var replaced = new
                replaced.node = old.node
                entries[place] = .launch(replaced)
                changed.insert(place)
            }
        case (.copy(let a, let b, let n), .copy(let c, let d, let m)) where a == c && b == d && n == m: break
        case (.fill(let a, let b, let n), .fill(let c, let d, let m)) where a == c && b == d && n == m: break
        case (_, .copy):
            differs("a tensor that it writes is shared with another")
            return true
        default: differs("it does other work")
        }
        return false
    }

    private func agrees(_ old: Launch, _ new: Launch) -> Bool {
        guard old.kernel == new.kernel, old.grid == new.grid, old.block == new.block, old.arguments.count == new.arguments.count
        else { return false }
        return zip(old.arguments, new.arguments).allSatisfy { a, b in
            a.range == b.range && (a.mayChange || old.bytes[a.range] == new.bytes[b.range])
        }
    }
}
