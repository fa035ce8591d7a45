/// Lets text through up to the first of some strings, which may come in pieces: the end of what has come is held back as long as it may be the
/// beginning of one.
struct StopStringFilter {
    // In UTF-8, whose bytes can be compared one by one: a match starts and ends between scalars.
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    /// Whether one of the strings came; nothing is let through from then on.
    private(set) var isStopped = false

    init(_ strings: [String]) { stops = strings.map { Array($0.utf8) } }

    /// What can be let through now that `text` has come.
    mutating func append(_ text: String) -> String {
        if isStopped { return "" }
        held += text.utf8
        if let start = stops.compactMap({ firstMatch(of: $0) }).min() {
            isStopped = true
            defer { held = [] }
            return String(decoding: held[..<start], as: UTF8.self)
        }
        let kept = stops.map { longestOpenEnd(of: $0) }.max() ?? 0
        defer { held.removeFirst(held.count - kept) }
        return String(decoding: held[..<(held.count - kept)], as: UTF8.self)
    }

    /// What is held back, when nothing more comes.
    mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    private func firstMatch(of stop: [UInt8]) -> Int? {
        if stop.count > held.count { return nil }
        return (0...(held.count - stop.count)).first { held[$0..<$0 + stop.count].elementsEqual(stop) }
    }

    /// The most bytes at the end that are a beginning of `stop`.
    private func longestOpenEnd(of stop: [UInt8]) -> Int {
        (1..<Swift.max(stop.count, 1)).last { $0 <= held.count && held.suffix($0).elementsEqual(stop.prefix($0)) } ?? 0
    }
}
