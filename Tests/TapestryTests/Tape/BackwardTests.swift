import Tapestry
import Testing

@Suite struct BackwardTests {
    private func leaf(_ values: Double...) -> Tensor { Tensor(values, dtype: .float64, requiresGrad: true) }

    @Test func theExampleOfTheReadme() {
        let x = Tensor([2.0, 3.0], requiresGrad: true)
        let y = (x * x).sum()
        y.backward()
        #expect(x.grad!.scalars(Float.self) == [4, 6])
        #expect(y.gradFn!.name == "SumBackward")
        #expect(y.gradFn!.nextEdges[0]!.node.name == "MulBackward")
        #expect(x.isLeaf && x.gradFn == nil && !y.isLeaf)
    }

    @Test func gradientsAccumulate() {
        let x = leaf(1, 2)
        (x * 3).sum().backward()
        (x * 4).sum().backward()
        #expect(x.grad!.scalars(Double.self) == [7, 7])
        let kept = x.grad!
        (x * 1).sum().backward()
        #expect(kept.scalars(Double.self) == [7, 7])
        #expect(x.grad!.scalars(Double.self) == [8, 8])
        x.grad = nil
        #expect(x.grad == nil)
    }

    @Test func anInputUsedTwice() {
        let x = leaf(3)
        let y = x * x
        (y + y * x + x).sum().backward()
        // d/dx (x² + x³ + x) = 2x + 3x² + 1
        #expect(x.grad!.item(Double.self) == 34)
    }

    @Test func retainedGraphs() {
        let x = leaf(2)
        let y = (x * x * x).sum()
        y.backward(retainGraph: true)
        y.backward(retainGraph: true)
        #expect(x.grad!.item(Double.self) == 24)
    }

    /// Nothing was saved, so nothing is missing: as in PyTorch, sums can be gone through again.
    @Test func aGraphWithoutSavedTensorsCanBeUsedAgain() {
        let x = leaf(1, 2)
        let y = (x + x).sum()
        y.backward()
        y.backward()
        #expect(x.grad!.scalars(Double.self) == [4, 4])
    }

    @Test func recordingStops() {
        let x = leaf(1)
        #expect(!withoutGrad { x * 2 }.requiresGrad)
        #expect(withoutGrad { withGrad { x * 2 } }.requiresGrad)
        #expect(!(x.detached() * 2).requiresGrad)
        #expect(isGradEnabled)
        struct Oops: Error {}
        try? withoutGrad { throw Oops() }
        #expect(isGradEnabled)
    }

    @Test func disconnectedInputsGiveNil() {
        let x = leaf(1), z = leaf(1)
        let found = gradients(of: [x * 2], withRespectTo: [x, z])
        #expect(found[0]!.item(Double.self) == 2)
        #expect(found[1] == nil)
        #expect(x.grad == nil)
    }

    @Test func gradientsOfInnerTensors() {
        let x = leaf(3)
        let y = x * x
        let z = y * y
        #expect(gradients(of: [z], withRespectTo: [y])[0]!.item(Double.self) == 18)
        let w = x * x
        w.retainGrad()
        (w * 5).sum().backward()
        #expect(w.grad!.item(Double.self) == 5)
        #expect(x.grad!.item(Double.self) == 30)
    }

    @Test func severalOutputsAtOnce() {
        let x = leaf(1, 2)
        backward([x * 2, (x * x).sum()], gradients: [Tensor([1.0, 1.0], dtype: .float64), Tensor(10.0, dtype: .float64)])
        #expect(x.grad!.scalars(Double.self) == [22, 42])
    }

    @Test func higherOrders() {
        let x = leaf(2)
        var y = pow(x, 5)
        for expected in [80.0, 160, 240, 240, 120, 0] {
            y = gradients(of: [y], withRespectTo: [x], gradients: [Tensor(onesLike: y)], createGraph: true)[0]!
            #expect(Swift.abs(y.item(Double.self) - expected) < 1e-9)
        }
    }

    @Test func hooks() {
        let x = leaf(1)
        let y = x * 2
        y.registerHook { $0 * 10 }
        let seen = Seen()
        x.registerHook {
            seen.values.append($0.item(Double.self))
            return nil
        }
        (y * 3).sum().backward()
        #expect(x.grad!.item(Double.self) == 60)
        #expect(seen.values == [60])
    }

    private final class Seen: @unchecked Sendable { var values: [Double] = [] }

    @Test func severalOutputsOfOneOperation() {
        let x = leaf(1, 2, 3, 4)
        let parts = x.split(size: 2)
        (parts[1] * parts[1]).sum().backward()
        #expect(x.grad!.scalars(Double.self) == [0, 0, 6, 8])
    }

    /// A million recorded operations: built, gone through and freed without a deep stack.
    @Test func aMillionOperations() {
        let x = leaf(1)
        var y = x
        for _ in 0..<1_000_000 { y = y + 1 }
        y.backward()
        #expect(x.grad!.item(Double.self) == 1)
        var z = x
        for _ in 0..<1_000_000 { z = z * 1.0 }  // dropped without a backward pass
        #expect(z.item(Double.self) == 1)
    }

    @Test func backwardFromManyThreads() async {
        let shared = Tensor([2.0], dtype: .float64)
        let results = await withTaskGroup(of: Double.self) { group in
            for i in 1...16 {
                group.addTask {
                    let x = shared.asLeaf()
                    var y = x
                    for _ in 0..<200 { y = y * 1.0 + Double(i) }
                    y.sum().backward()
                    return x.grad!.item(Double.self)
                }
            }
            return await group.reduce(into: [Double]()) { $0.append($1) }
        }
        #expect(results == Array(repeating: 1, count: 16))
    }

    /// Gradients from many threads into one leaf add up.
    @Test func oneLeafFromManyThreads() async {
        let x = leaf(1)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<256 { group.addTask { (x * 2).sum().backward() } }
        }
        #expect(x.grad!.item(Double.self) == 512)
    }

    /// With the tensors gone, so are their nodes and storage.
    @Test func nothingLeaks() {
        func round() {
            let x = Tensor(ones: [1 << 16], requiresGrad: true)
            let y = (tanh(x) * x).sum()
            y.backward(retainGraph: true)
        }
        round()
        let before = MemoryStatistics.current.bytesInUse
        for _ in 0..<50 { round() }
        #expect(MemoryStatistics.current.bytesInUse <= before + 1 << 17)
    }
}
