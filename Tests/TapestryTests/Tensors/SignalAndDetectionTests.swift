import ConformanceSuite
import Tapestry
import Testing

/// Windows, filter banks and the suppression of overlapping boxes.
@Suite struct SignalAndDetectionTests {
    @Test func windows() {
        #expect(mismatch(hannWindow(4), Tensor([0, 0.5, 1, 0.5])) == nil)
        #expect(mismatch(hannWindow(5, periodic: false), Tensor([0, 0.5, 1, 0.5, 0])) == nil)
        #expect(mismatch(hammingWindow(4, periodic: false), Tensor([0.08, 0.77, 0.77, 0.08])) == nil)
        #expect(mismatch(blackmanWindow(5, periodic: false), Tensor([0, 0.34, 1, 0.34, 0])) == nil)
        for size in [0, 1] { #expect(hannWindow(size).isEqual(to: Tensor(ones: [size]))) }
    }

    @Test func melFilters() {
        let bank = melFilterBank(filters: 4, fftLength: 64, sampleRate: 8000, from: 0, to: 4000)
        #expect(bank.shape == [33, 4])
        // Every filter rises to 1 once and overlaps its neighbours alone.
        #expect(bank.max([0]).isEqual(to: Tensor(ones: [4])))
        #expect((bank .> 0).to(.int64).sum([1]).max().item(Int.self) == 2)
    }

    @Test func suppression() {
        let boxes = Tensor([[0, 0, 2, 2], [0, 0, 2, 1.9], [3, 3, 4, 4], [0, 0, 2, 2.0]])
        let scores = Tensor([0.5, 0.9, 0.1, 0.5])
        #expect(nonMaximumSuppression(boxes, scores, threshold: 0.5).scalars(Int.self) == [1, 2])
        #expect(nonMaximumSuppression(boxes, scores, threshold: 1).scalars(Int.self) == [1, 0, 3, 2])
        #expect(nonMaximumSuppression(boxes[0..<0], scores[0..<0], threshold: 0.5).shape == [0])
    }
}
