import Foundation

/// What ``Profiler/record(_:)`` saw.
public struct Profile: Sendable, CustomStringConvertible {
    /// One call of the backend, or one scope.
    public struct Event: Sendable {
        /// What an event stands for.
        public enum Kind: String, Sendable { case operation, scope }
        /// Whether it is a call of the backend or a named part of the program.
        public let kind: Kind
        /// "matmul", "unary.exp" …, or the scope's name.
        public let name: String
        /// Types and shapes of inputs and outputs, as `float32[2, 3]`.
        public let shapes: String
        /// The scopes around it, outermost first; a backward pass adds the node's name.
        public let scopes: [String]
        /// Nanoseconds of a clock that never goes back, and how long.
        public let start, duration: UInt64
        /// Floating-point operations, counted for products, convolutions and attention.
        public var flops = 0.0
        /// Each input and each output once.
        public var bytes = 0.0
        /// The thread that called.
        public let thread = Profile.currentThread()
    }

    /// Events of one name together.
    public struct Row: Sendable {
        /// The name the events share.
        public let name: String
        /// How many, and their time in all.
        public var calls = 0, seconds = 0.0
        /// Work in all.
        public var flops = 0.0, bytes = 0.0
        /// The least time the machine needs for this work, over the time it took: 1 is as fast as can be. The bound of each call is
        /// its flops at the float32 peak or its bytes at the triad's rate, whichever takes longer; work in the caches can exceed 1.
        public var shareOfBound = 0.0
    }

    /// In the order in which they began.
    public let events: [Event]
    let start, end: UInt64
    /// What the bounds are computed with.
    public let peaks: MachinePeaks
    /// The most bytes in use at once, and the bytes in use before and after.
    public let peakBytesInUse, bytesBefore, bytesAfter: Int

    /// From the beginning to the end of the recording.
    public var seconds: Double { Double(end - start) * 1e-9 }
    /// Inside calls of the backend.
    public var operationSeconds: Double { rows().reduce(0) { $0 + $1.seconds } }

    /// What events are put together by.
    public enum Grouping: Sendable {
        /// The operation's name.
        case operation
        /// Its name and the shapes.
        case shapes
        /// The innermost scope: a node of the backward pass, or a name given by ``Profiler/scope(_:_:)``.
        case scope
    }

    /// The operations put together, the longest first.
    public func rows(by grouping: Grouping = .operation) -> [Row] {
        var table: [String: Row] = [:]
        for event in events where event.kind == .operation {
            let key =
                switch grouping {
                case .operation: event.name
                case .shapes: "\(event.name) \(event.shapes)"
                case .scope: event.scopes.last ?? "(no scope)"
                }
            var row = table[key] ?? Row(name: key)
            row.calls += 1
            row.seconds += Double(event.duration) * 1e-9
            row.flops += event.flops
            row.bytes += event.bytes
            row.shareOfBound += max(event.flops / peaks.flopsPerSecond, event.bytes / peaks.bytesPerSecond)
            table[key] = row
        }
        return table.values.map { row in
            var row = row
            row.shareOfBound /= max(row.seconds, 1e-12)
            return row
        }.sorted { ($1.seconds, $0.name) < ($0.seconds, $1.name) }
    }

    /// A table of ``rows(by:)``.
    public func table(by grouping: Grouping = .operation, limit: Int = 40) -> String {
        func right(_ s: String, _ n: Int) -> String { String(repeating: " ", count: max(n - s.count, 0)) + s }
        func number(_ x: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", x) }
        let rows = rows(by: grouping)
        let width = min(max(rows.prefix(limit).map(\.name.count).max() ?? 0, 12), 72)
        func line(_ name: String, _ cells: [String]) -> String {
            let short = name.count > width ? String(name.prefix(width - 1)) + "…" : name
            return short + String(repeating: " ", count: width - short.count)
                + zip(cells, [8, 11, 8, 10, 9, 9]).map(right).joined()
        }
        var lines = [line("operation", ["calls", "ms", "%", "GFLOP/s", "GB/s", "bound"])]
        for row in rows.prefix(limit) {
            lines.append(
                line(
                    row.name,
                    [
                        "\(row.calls)", number(row.seconds * 1e3, 3), number(100 * row.seconds / max(seconds, 1e-12), 1),
                        row.flops > 0 ? number(row.flops / row.seconds / 1e9, 1) : "", number(row.bytes / row.seconds / 1e9, 1),
                        number(row.shareOfBound, 2),
                    ]))
        }
        if rows.count > limit { lines.append("… \(rows.count - limit) more") }
        return lines.joined(separator: "\n")
    }

    /// The time in all, the memory, and the table by operation.
    public var description: String {
        let inside = operationSeconds
        return String(
            format: """
                %.3f ms, of which %.3f ms in %d operations and %.3f ms outside them; peak memory %.1f MB (before %.1f, after %.1f)
                bounds: %.0f GFLOP/s, %.1f GB/s

                """, seconds * 1e3, inside * 1e3, events.count { $0.kind == .operation }, (seconds - inside) * 1e3,
            Double(peakBytesInUse) / 1e6, Double(bytesBefore) / 1e6, Double(bytesAfter) / 1e6, peaks.flopsPerSecond / 1e9,
            peaks.bytesPerSecond / 1e9) + table()
    }

    // MARK: Chrome's trace format

    /// The recording in Chrome's trace event format (complete events, microseconds), for chrome://tracing or Perfetto.
    public func chromeTrace() throws -> Data {
        struct Arguments: Encodable {
            let shapes, scopes: String
            let gflops, gigabytesPerSecond: Double
        }
        struct Entry: Encodable {
            let name, cat, ph: String
            let ts, dur: Double
            let pid: Int
            let tid: UInt64
            let args: Arguments
        }
        struct Trace: Encodable {
            let displayTimeUnit = "ms"
            let traceEvents: [Entry]
        }
        let entries = events.map { event in
            let seconds = max(Double(event.duration) * 1e-9, 1e-9)
            return Entry(
                name: event.name, cat: event.kind.rawValue, ph: "X", ts: Double(event.start - start) / 1e3,
                dur: Double(event.duration) / 1e3, pid: 1, tid: event.thread,
                args: Arguments(
                    shapes: event.shapes, scopes: event.scopes.joined(separator: " > "), gflops: event.flops / seconds / 1e9,
                    gigabytesPerSecond: event.bytes / seconds / 1e9))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return try encoder.encode(Trace(traceEvents: entries))
    }

    /// Writes ``chromeTrace()`` to a file, all of it or nothing.
    public func writeChromeTrace(to path: String) throws {
        try chromeTrace().write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    static func currentThread() -> UInt64 { UInt64(UInt(bitPattern: ObjectIdentifier(ThreadLocal.current)) >> 4) & 0xff_ffff }
}
