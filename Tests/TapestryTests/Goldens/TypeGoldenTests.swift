import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

/// Element types as PyTorch promotes them.
@Suite struct TypeGoldenTests {
    /// `torch.result_type` of two tensors; where PyTorch has an `int16` we have `int32`.
    @Test func promotion() throws {
        let tables = try Goldens.json("dtypes/promotion.json")["tables"] as! [String: Any]
        var checked = 0
        for (pair, name) in tables["tensor_tensor"] as! [String: String] {
            let names = pair.split(separator: ",").map(String.init)
            guard let a = GoldenFile.dtype(names[0]), let b = GoldenFile.dtype(names[1]) else { continue }
            let expected = GoldenFile.dtype(name) ?? .int32
            #expect(a.promoted(with: b) == expected, "\(a) with \(b)")
            #expect((Tensor(ones: [2], dtype: a) + Tensor(ones: [2], dtype: b)).dtype == expected, "\(a) + \(b)")
            checked += 1
        }
        #expect(checked == 100)
    }
}
