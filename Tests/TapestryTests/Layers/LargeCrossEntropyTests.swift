import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// Gradients too large for the caches are written past them; the values are the same.
@Suite struct LargeCrossEntropyTests {
    @Test(arguments: [0.0, 0.1])
    func gradient(_ smoothing: Double) {
        let generator = RandomGenerator(seed: 6), rows = 1201, classes = 7003
        let x = Tensor(normal: [rows, classes], generator: generator).asLeaf()
        var labels = Tensor(integers: 0..<classes, shape: [rows], generator: generator)
        labels[7] = Tensor(-100)
        labels[8] = Tensor(classes - 1)
        crossEntropy(x, labels, labelSmoothing: smoothing, reduction: .sum).backward()
        for start in [0, 600, rows - 60] {  // the same rows, few enough to stay in the caches
            let part = x.detached()[start..<(start + 60)].asLeaf()
            crossEntropy(part, labels[start..<(start + 60)], labelSmoothing: smoothing, reduction: .sum).backward()
            #expect(mismatch(x.grad![start..<(start + 60)], part.grad!, .exact) == nil)
        }
    }
}
