import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

/// Files of other systems, good and bad.
@Suite struct FormatGoldenTests {
    @Test func safetensors() throws {
        var read = 0
        var refused = 0
        for manifest in Goldens.manifests("formats") where manifest.lastPathComponent == "safetensors.json" {
            let file = try GoldenFile(manifest)
            for item in file.cases {
                let name = item["name"] as! String
                let path = manifest.deletingLastPathComponent().appendingPathComponent("safetensors/\(item["file"] as! String)")
                    .path
                if item["kind"] as! String == "read" {
                    let opened = try SafetensorsFile(path)
                    let expected = item["tensors"] as! [String: Any]
                    #expect(opened.metadata == item["metadata"] as? [String: String] ?? [:], "\(name)")
                    do {
                        #expect(Set(opened.names) == Set(expected.keys), "\(name)")
                        for (key, any) in expected {
                            #expect(mismatch(try opened.tensor(key), try file.tensor(any), .exact) == nil, "\(name): \(key)")
                        }
                        read += 1
                    } catch is Unsupported { continue }
                } else if item["reference_accepts"] as! Bool {
                    let opened = try SafetensorsFile(path)
                    for expected in item["reference_tensors"] as! [[String: Any]] {
                        let tensor = try opened.tensor(expected["name"] as! String)
                        #expect(tensor.shape == expected["shape"] as! [Int], "\(name)")
                        let hex = tensor.withUnsafeBytes { $0.map { String(format: "%02x", $0) }.joined() }
                        // Bools are 0 or 1 in memory, whatever the file says for true.
                        #expect(hex == (tensor.dtype == .bool ? "0101" : expected["hex"] as! String), "\(name)")
                    }
                    read += 1
                } else {
                    let before = MemoryStatistics.current.peakBytesInUse
                    #expect(throws: (any Error).self, "\(name)") { _ = try SafetensorsFile(path).tensors() }
                    #expect(MemoryStatistics.current.peakBytesInUse <= before + 1 << 20, "\(name) cost memory")
                    refused += 1
                }
            }
        }
        print("safetensors: \(read) read, \(refused) refused")
        #expect(read >= 7 && refused >= 15)
    }
}
