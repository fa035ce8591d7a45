import Foundation
import Tapestry
import Testing

@Suite(.serialized) struct ProfilerTests {
    private func step(_ model: Sequential, _ x: Tensor) -> Tensor {
        let y = Profiler.scope("forward") { model(x) }
        y.sum().backward()
        return y
    }

    /// The work of two linear layers and their gradients is counted exactly, and their results are those of a run without it.
    @Test func countsWork() {
        let model = Sequential(Linear(48, 32, bias: false), ReLU(), Linear(32, 16, bias: false))
        let x = Tensor(normal: [64, 48])
        let plain = step(model, x)
        for parameter in model.parameters { parameter.grad = nil }
        let (result, profile) = Profiler.record { step(model, x) }
        #expect(result.scalars(Float.self) == plain.scalars(Float.self))
        // Forward two products; backward both weights, and the second layer's input.
        let first = 2.0 * 64 * 48 * 32, second = 2.0 * 64 * 32 * 16
        #expect(profile.rows().reduce(0) { $0 + $1.flops } == 2 * first + 3 * second)
        let relu = profile.rows().first { $0.name == "unary.relu" }
        #expect(relu?.calls == 1)
        #expect(relu?.bytes == Double(2 * 4 * 64 * 32))
        let scopes = Set(profile.rows(by: .scope).map(\.name))
        #expect(scopes.contains("forward"))
        #expect(scopes.contains { $0.hasSuffix("Backward") })
        #expect(profile.operationSeconds > 0 && profile.operationSeconds <= profile.seconds)
        #expect(profile.peakBytesInUse >= profile.bytesBefore)
        #expect(profile.events.contains { $0.kind == .scope && $0.name == "forward" })
        #expect("\(profile)".contains("unary.relu"))
        #expect(!Profiler.isRecording)
    }

    @Test func chromeTrace() throws {
        let profile = Profiler.record { _ = Profiler.scope("outer") { exp(Tensor(normal: [100]) + 1) } }
        let trace = try JSONSerialization.jsonObject(with: profile.chromeTrace()) as! [String: Any]
        let entries = trace["traceEvents"] as! [[String: Any]]
        #expect(entries.count == profile.events.count)
        for entry in entries {
            #expect(entry["ph"] as? String == "X")
            #expect(entry["ts"] as! Double >= 0 && entry["dur"] as! Double >= 0)
        }
        let outer = try #require(entries.first { $0["name"] as? String == "outer" })
        let inner = try #require(entries.first { $0["name"] as? String == "unary.exp" })
        let begin = outer["ts"] as! Double, end = begin + (outer["dur"] as! Double)
        #expect(inner["ts"] as! Double >= begin && (inner["ts"] as! Double) + (inner["dur"] as! Double) <= end)
    }

    /// Operations of other threads are events, too.
    @Test func otherThreads() async {
        let profile = await withCheckedContinuation { (continuation: CheckedContinuation<Profile, Never>) in
            continuation.resume(
                returning: Profiler.record {
                    let done = DispatchSemaphore(value: 0)
                    Thread.detachNewThread {
                        _ = tanh(Tensor(ones: [8]))
                        done.signal()
                    }
                    done.wait()
                    _ = exp(Tensor(ones: [8]))
                })
        }
        let threads = Set(profile.events.filter { $0.name.hasPrefix("unary.") }.map(\.thread))
        #expect(threads.count == 2)
    }
}
