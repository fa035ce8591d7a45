import Foundation

/// Folders with golden cases: the bundled one and, if set, the one that `TAPESTRY_GOLDENS` names.
public enum Goldens {
    public static let bundled = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Tests/Goldens")

    public static var folders: [URL] {
        [bundled] + (ProcessInfo.processInfo.environment["TAPESTRY_GOLDENS"].map { [URL(fileURLWithPath: $0)] } ?? [])
    }

    /// The manifests of a suite, in every folder.
    public static func manifests(_ suite: String) -> [URL] { folders.flatMap { manifests(suite, in: $0) } }

    /// The manifests of a suite in one folder, by name; then those in its own folders, which hold a model each.
    public static func manifests(_ suite: String, in folder: URL) -> [URL] {
        let directory = folder.appendingPathComponent(suite)
        func files(_ directory: URL) -> [URL] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
            return names.sorted().map { directory.appendingPathComponent($0) }
        }
        let own = files(directory)
        let inner = own.filter { $0.pathExtension.isEmpty }.flatMap(files)
        return (own + inner).filter { $0.pathExtension == "json" }
    }

    /// Parsed JSON of a bundled file.
    public static func json(_ name: String) throws -> [String: Any] {
        let data = try Data(contentsOf: bundled.appendingPathComponent(name))
        guard let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
            throw GoldenError("\(name) is not a JSON object")
        }
        return object
    }
}
