import CKernels
import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// Products with one row or one column, on every instruction set, against float64.
@Suite(.serialized) struct VectorProductTests {
    @Test(arguments: [(1, 16), (3, 17), (4, 32), (7, 100), (130, 33), (515, 768), (66, 1025), (2, 5), (9000, 70)])
    func matrixTimesVector(_ size: (rows: Int, k: Int)) {
        defer { _ = tk_set_isa_level(-1) }
        let generator = RandomGenerator(seed: 4)
        let w = Tensor(normal: [size.rows, size.k], generator: generator), x = Tensor(normal: [1, size.k], generator: generator)
        let bias = Tensor(normal: [size.rows], generator: generator),
            column = Tensor(normal: [size.k, 3], generator: generator)[0..., 1]
        let exact = [
            linear(x.to(.float64), w.to(.float64), bias.to(.float64)), w.to(.float64) • x[0].to(.float64),
            w.to(.float64) • column.to(.float64),
            w.T.contiguous().T.to(.float64) • x[0].to(.float64), x.to(.float64) • w.T.to(.float64),
            column.to(.float64) • w.T.to(.float64),
        ]
        for level in [0, 1, 2] where tk_set_isa_level(Int32(level)) == Int32(level) {
            let byRows = w.T.contiguous()
            let ours = [linear(x, w, bias), w • x[0], w • column, byRows.T • x[0], x • byRows, column • byRows]
            for (a, b) in zip(ours, exact) {
                let wrong = mismatch(a.to(.float64), b, Tolerance(relative: 1e-5, absolute: 2e-5))
                #expect(wrong == nil, "level \(level): \(wrong ?? "")")
            }
        }
    }
}
