#if compiler(>=6.2)
    import CKernels
    import Foundation
    import Tapestry
    import Testing

    @testable import CoreTensor

    /// A mistake stops the program with one sentence that names the operation, what is wrong, and the user's line.
    @Suite struct FailureTests {
        /// Checks what a process that made a mistake wrote, and that it names the line with the comment `// name` in this file.
        private func expect(
            _ result: ExitTest.Result?, _ name: String, _ parts: String..., source: SourceLocation = #_sourceLocation
        ) throws {
            let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            let message = text.split(separator: "\n").first { $0.contains("Fatal error:") }.map(String.init) ?? text
            let lines = try String(contentsOfFile: #filePath, encoding: .utf8).split(
                separator: "\n", omittingEmptySubsequences: false)
            let line = try #require(lines.firstIndex { $0.hasSuffix("  // \(name)") }, sourceLocation: source) + 1
            for part in parts + ["FailureTests.swift:\(line)"] {
                #expect(message.contains(part), "“\(message)” lacks “\(part)”", sourceLocation: source)
            }
        }

        /// LLVM's program and the runtime find the same lines.
        @Test(.enabled(if: Symbolizer.framesByTool([]) != nil)) func readersOfDebugInformation() throws {
            var stack = [UInt](repeating: 0, count: 64)
            let depth = Int(tk_capture_call_site(&stack, 64)), calls = stack[..<depth].map { $0 - 1 }
            let byTool = try #require(Symbolizer.framesByTool(calls))
            let byRuntime = Symbolizer.framesByRuntime(calls)
            func lines(_ frames: [Symbolizer.Frame]?) -> [Int] {
                (frames ?? []).filter { $0.path.hasSuffix("/FailureTests.swift") }.map(\.line)
            }
            #expect(!calls.allSatisfy { lines(byTool[$0]).isEmpty })
            for address in calls { #expect(lines(byTool[address]) == lines(byRuntime[address])) }
        }

        @Test func shapes() async throws {
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.product() },
                "product", "matmul: inner dimensions differ: [4, 5] · [6, 7] (5 ≠ 6) at ")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.addition() },
                "addition", "add", "[4, 5]", "[3]")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.reshape() },
                "reshape", "[4, 5] (20 elements)", "[3, -1]")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.axis() },
                "axis", "sum: axis 2 is out of range for rank 2")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.position() },
                "position", "index 2 is out of range for axis 0 of [2, 3]")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.layer() },
                "layer", "linear", "[3, 5]", "[8, 4]")
        }

        @Test func fusing() async throws {
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.fusedSum() },
                "fusedSum", "fused: reduce is not elementwise")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.fusedCapture() },
                "fusedCapture", "fused: a tensor of shape [2] comes from outside")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.fusedGradient() },
                "fusedGradient", "fused: a tensor from outside of the function requires a gradient")
        }

        @Test func typesAndIndices() async throws {
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.integerGradient() },
                "integerGradient", "requiresGrad", "int64", "float32")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.floatLabels() },
                "floatLabels", "crossEntropy", "integers")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.label() },
                "label", "crossEntropy: label 3 at position 1 is out of range 0 ..< 3")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.token() },
                "token", "embedding: token id -1 at position 1 is out of range 0 ..< 5")
        }

        @Test func labelsOfLosses() async throws {
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.weightedLabel() },
                "weightedLabel", "crossEntropy: label 3 at position 1 is out of range 0 ..< 3")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.likelihoodLabel() },
                "likelihoodLabel", "nllLoss: label -1 at position 0 is out of range 0 ..< 3")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.sequenceLabel() },
                "sequenceLabel", "ctcLoss: label 9 at position 1 is out of range 0 ..< 4")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.marginLabel() },
                "marginLabel", "multilabelMarginLoss: label 3 at position 0 is out of range 0 ..< 3")
        }

        @Test func theTape() async throws {
            // The line of the multiplication whose tensors are gone.
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.secondBackward() },
                "multiplied here", "already used", "retainGraph: true", "MulBackward")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.noGradient() },
                "noGradient", "backward", "requires no gradient")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.noStart() },
                "noStart", "backward", "[2]", "gradient:")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.noDerivative() },
                "noDerivative", "heaviside: has no derivative")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.anomaly() },
                "root taken here", "NaN", "SqrtBackward")
        }

        @Test func options() async throws {
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.heads() },
                "heads", "MultiHeadAttention: 5 heads do not divide a width of 128")
            try expect(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { Mistake.rate() },
                "rate", "learningRate -1")
        }
    }

    /// What a user may get wrong, each on a line of its own.
    private enum Mistake {
        @inline(never) static func product() {
            _ = Tensor(zeros: [4, 5]) • Tensor(zeros: [6, 7])  // product
        }
        @inline(never) static func addition() {
            let row = Tensor([1.0, 2, 3])
            print(Tensor(zeros: [4, 5]) + row)  // addition
        }
        @inline(never) static func fusedSum() {
            _ = fused { x in x - x.sum() }(Tensor([1.0, 2]))  // fusedSum
        }
        @inline(never) static func fusedCapture() {
            let row = Tensor([1.0, 2])
            _ = fused { x in x * row }(row)  // fusedCapture
        }
        @inline(never) static func fusedGradient() {
            let one = Tensor(1.0, requiresGrad: true)
            _ = fused { x in x * one }(one)  // fusedGradient
        }
        @inline(never) static func reshape() {
            _ = Tensor(zeros: [4, 5]).reshaped(3, -1)  // reshape
        }
        @inline(never) static func axis() {
            _ = Tensor(zeros: [2, 3]).sum(2)  // axis
        }
        @inline(never) static func position() {
            _ = Tensor(zeros: [2, 3])[2]  // position
        }
        @inline(never) static func layer() {
            let model = Sequential(Linear(4, 8), ReLU(), Linear(8, 2))
            _ = model(Tensor(zeros: [3, 5]))  // layer
        }
        @inline(never) static func integerGradient() {
            _ = Tensor([1, 2], requiresGrad: true)  // integerGradient
        }
        @inline(never) static func floatLabels() {
            _ = crossEntropy(Tensor(zeros: [2, 3]), Tensor([0.0, 1.0]))  // floatLabels
        }
        @inline(never) static func label() {
            _ = crossEntropy(Tensor(zeros: [2, 3]), Tensor([0, 3]))  // label
        }
        @inline(never) static func weightedLabel() {
            _ = crossEntropy(Tensor(zeros: [2, 3]), Tensor([0, 3]), weight: Tensor(ones: [3]))  // weightedLabel
        }
        @inline(never) static func likelihoodLabel() {
            _ = nllLoss(Tensor(zeros: [2, 3]), Tensor([-1, 0]))  // likelihoodLabel
        }
        @inline(never) static func sequenceLabel() {
            _ = ctcLoss(Tensor(zeros: [5, 1, 4]), Tensor([[1, 9]]), inputLengths: [5], targetLengths: [2])  // sequenceLabel
        }
        @inline(never) static func marginLabel() {
            _ = multilabelMarginLoss(Tensor(zeros: [3]), Tensor([3, -1, 7]))  // marginLabel
        }
        @inline(never) static func token() {
            _ = Embedding(5, 2)(Tensor([[0, -1]]))  // token
        }
        @inline(never) static func secondBackward() {
            let x = Tensor([1.0], requiresGrad: true)
            let y = x * x  // multiplied here
            let z = y.sum()
            z.backward()
            z.backward()
        }
        @inline(never) static func noGradient() {
            Tensor([1.0]).backward()  // noGradient
        }
        @inline(never) static func noStart() {
            (Tensor([1.0, 2], requiresGrad: true) * 2).backward()  // noStart
        }
        @inline(never) static func noDerivative() {
            _ = heaviside(Tensor([1.0], requiresGrad: true), Tensor([2.0]))  // noDerivative
        }
        @inline(never) static func anomaly() {
            withAnomalyDetection {
                let x = Tensor([0.0, 1.0], requiresGrad: true)
                let y = sqrt(x) * 0  // root taken here
                y.sum().backward()
            }
        }
        @inline(never) static func heads() {
            _ = MultiHeadAttention(model: 128, heads: 5)  // heads
        }
        @inline(never) static func rate() {
            _ = SGD([Parameter(Tensor(zeros: [1]))], learningRate: -1)  // rate
        }
    }
#endif
