import Tapestry
import Testing

/// Value semantics: nothing that one name does shows under another, and what the tape saved stays as it was.
@Suite struct CopyOnWriteTests {
    @Test func copiesAreIndependent() {
        let a = Tensor([1.0, 2, 3])
        var b = a
        #expect(b.sharesStorage(with: a))
        b += 1
        #expect(a.scalars(Float.self) == [1, 2, 3])
        #expect(b.scalars(Float.self) == [2, 3, 4])
        var c = a
        c[1] = Tensor(9.0)
        #expect(a.scalars(Float.self) == [1, 2, 3])
        #expect(c.scalars(Float.self) == [1, 9, 3])
    }

    @Test func viewsAreIndependent() {
        var a = Tensor([[1.0, 2], [3, 4]])
        let row = a[0], column = a.T[1], all = a.reshaped(4)
        a *= 10
        #expect(row.scalars(Float.self) == [1, 2])
        #expect(column.scalars(Float.self) == [2, 4])
        #expect(all.scalars(Float.self) == [1, 2, 3, 4])
        var view = a[1]
        view -= 1
        #expect(a.matrix(Float.self) == [[10, 20], [30, 40]])
        #expect(view.scalars(Float.self) == [29, 39])
        a[0..., 0] = a[0..., 1]
        #expect(a.matrix(Float.self) == [[20, 20], [40, 40]])
    }

    @Test func uniqueTensorsAreWrittenInPlace() {
        var a = Tensor(ones: [1000])
        let place = a.withUnsafeBytes { $0.baseAddress! }
        a += 1
        a *= Tensor(ones: [1000])
        a[3..<7] = Tensor(5.0)
        #expect(a.withUnsafeBytes { $0.baseAddress! } == place)
        let keeper = a
        a += 1
        #expect(a.withUnsafeBytes { $0.baseAddress! } != place)
        #expect(keeper.withUnsafeBytes { $0.baseAddress! } == place)
    }

    /// What PyTorch refuses with a version counter cannot go wrong here.
    @Test func savedTensorsCannotBeCorrupted() {
        let x = Tensor([2.0, 3.0], dtype: .float64, requiresGrad: true)
        var w = Tensor([5.0, 7.0], dtype: .float64)
        let y = (x * w).sum()
        w += 100
        w[0] = Tensor(-1.0, dtype: .float64)
        y.backward()
        #expect(x.grad!.scalars(Double.self) == [5, 7])

        // The output of an operation, written after it was saved.
        var e = exp(x)
        let z = e.sum()
        withoutGrad { e *= 0 }
        x.grad = nil
        z.backward()
        #expect(x.grad!.isClose(to: exp(x).detached()))
    }

    @Test func parametersStepBetweenForwardAndBackward() {
        let p = Parameter(Tensor([1.0, 2.0], dtype: .float64))
        let x = Tensor([3.0, 4.0], dtype: .float64, requiresGrad: true)
        let y = (p.value * x).sum()
        p.grad = Tensor([1.0, 1.0], dtype: .float64)
        SGD([p], learningRate: 0.5).step()
        #expect(p.value.scalars(Double.self) == [0.5, 1.5])
        p.grad = nil
        y.backward()
        #expect(x.grad!.scalars(Double.self) == [1, 2])
        #expect(p.grad!.scalars(Double.self) == [3, 4])
    }

    @Test func optimizersWriteInPlace() {
        let p = Parameter(Tensor(ones: [512]))
        let optimizer = AdamW([p])
        let place = p.value.withUnsafeBytes { $0.baseAddress! }
        for _ in 0..<3 {
            p.grad = Tensor(ones: [512])
            optimizer.step()
        }
        #expect(p.value.withUnsafeBytes { $0.baseAddress! } == place)
        let snapshot = p.value.detached()
        let before = snapshot.scalars(Float.self)
        optimizer.step()
        #expect(snapshot.scalars(Float.self) == before)
        #expect(p.value.scalars(Float.self) != before)
    }

    /// A recorded in-place write is an operation like any other.
    @Test func inPlaceWritesHaveGradients() {
        let x = Tensor([1.0, 2, 3], dtype: .float64, requiresGrad: true)
        let v = Tensor([10.0], dtype: .float64, requiresGrad: true)
        var y = x * 2
        y[1..<2] = v
        y += x
        (y * y).sum().backward()
        // y = [3, 12, 9]; dy/dx = [3, 1, 3]; dy/dv = [1] at 1
        #expect(x.grad!.scalars(Double.self) == [18, 24, 54])
        #expect(v.grad!.scalars(Double.self) == [24])
    }

    @Test func sharedReadsFromManyThreads() async {
        let x = Tensor(arange: 1000).to(.float64)
        let sums = await withTaskGroup(of: Double.self) { group in
            for i in 0..<16 {
                group.addTask {
                    var mine = x
                    mine += Double(i)
                    return mine.sum().item(Double.self)
                }
            }
            return await group.reduce(into: [Double]()) { $0.append($1) }
        }
        #expect(sums.sorted() == (0..<16).map { 499_500 + 1000 * Double($0) })
        #expect(x.sum().item(Double.self) == 499_500)
    }
}
