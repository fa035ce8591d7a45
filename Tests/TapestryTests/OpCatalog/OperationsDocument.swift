import Foundation
import OperationCatalog
import Tapestry
import Testing

/// `Documentation/Operations.md`, made from the catalogue so that it cannot drift. With TAPESTRY_WRITE_DOCUMENTS=1 it is written,
/// otherwise compared.
@Suite struct OperationsDocument {
    @Test func isWhatTheCatalogueSays() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Documentation/Operations.md")
        let text = Self.text()
        if ProcessInfo.processInfo.environment["TAPESTRY_WRITE_DOCUMENTS"] != nil {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let written = try String(contentsOf: file, encoding: .utf8)
        #expect(written == text, "Documentation/Operations.md is out of date: run the tests with TAPESTRY_WRITE_DOCUMENTS=1")
    }

    private static func text() -> String {
        var lines = [
            "# Operations", "",
            "Every row of the operation catalogue (`Tests/OperationCatalog`), by family. From a row the tests check values against",
            "an independent reference or PyTorch's own cases, every element type, first and second derivatives against differences, the",
            "adjoint identity of forward and reverse mode, strided inputs, and `vmap` against a loop.", "",
            "* **Types** beside `float64`, each checked. Real operations convert integers to `float32` where the type has no such",
            "  function, as PyTorch does; a type that an operation cannot take stops with an error.",
            "* **Derivative**: how often it can be differentiated: any (checked to the second), once (the slope is piecewise constant), none.",
            "* **vmap**: *batched* (all examples at once), *loop* (example by example, the fallback) or *none* (the result's shape depends on",
            "  the elements, or the call reads them).", "* **Backend**: all run on the CPU.", "",
        ]
        var loops: [String] = []
        for (title, rows) in OpCatalog.families {
            lines += ["## \(title)", "", "| Operation | Types beside float64 | Derivative | vmap |", "|---|---|---|---|"]
            for row in rows {
                let types = (row.types + row.integerTypes).filter { $0 != .float64 }.map(\.description)
                let names = types.isEmpty ? "" : types.joined(separator: ", ")
                let complex = row.takesComplex ? (names.isEmpty ? "complex64, complex128" : ", complex64, complex128") : ""
                let orders = row.orders == 0 ? "none" : row.orders == 1 ? "once" : "any"
                let status = batching(row)
                if status == "loop" { loops.append(row.name) }
                lines.append("| \(row.name) | \(names)\(complex) | \(orders) | \(status) |")
            }
            lines.append("")
        }
        lines += ["## Operations that vmap runs example by example", ""]
        lines.append(loops.isEmpty ? "None of the catalogue." : loops.sorted().map { "`\($0)`" }.joined(separator: ", ") + ".")
        lines += [
            "",
            "Outside the catalogue: functions of one's own (`DifferentiableFunction`) are called once per example; `checkpoint` keeps",
            "nothing back inside `vmap`; reading elements (`item()`, `scalars()`) stops with an error.", "",
        ]
        return lines.joined(separator: "\n")
    }

    private static func batching(_ row: OpRow) -> String {
        guard row.isBatchable,
            let sample = row.samples.indices.first(where: { row.samples[$0].allSatisfy { !$0.shape.contains(0) } })
        else { return "none" }
        let draws = (0..<2).map { row.inputs(sample, draw: $0) }
        let many = row.samples[sample].indices.map { k in stack(draws.map { $0[k] }) }
        return batchingFallbacks { _ = vmap({ [row.call($0)] })(many) }.isEmpty ? "batched" : "loop"
    }
}
