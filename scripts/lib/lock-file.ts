/** What package-lock.json lacks, and the entry that npm would have written for it. */

export interface LockEntry {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly dev?: boolean;
  readonly license?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

export interface Lock {
  packages: Record<string, LockEntry>;
}

export interface MissingPackage {
  readonly name: string;
  readonly version: string;
  /** Where the entry belongs in the lock. */
  readonly path: string;
  /** The path of the package that asks for it. */
  readonly wantedBy: string;
}

/** Optional dependencies of packages in the lock that resolve to no entry, by Node's way of looking upward. */
export function missingFromLock(lock: Lock): readonly MissingPackage[] {
  const missing = new Map<string, MissingPackage>();
  for (const [wantedBy, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      if (!resolves(lock, wantedBy, name)) missing.set(path, { name, version, path, wantedBy });
    }
  }
  return [...missing.values()];
}

function resolves(lock: Lock, from: string, name: string): boolean {
  for (let folder = from; ; folder = parentOf(folder)) {
    if (lock.packages[`${folder === "" ? "" : `${folder}/`}node_modules/${name}`] !== undefined) return true;
    if (folder === "") return false;
  }
}

const parentOf = (folder: string): string => folder.slice(0, Math.max(folder.lastIndexOf("node_modules/") - 1, 0));

const OS_NAMES = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const CPU_NAMES = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"];
const LIBC_SUFFIX: Readonly<Record<string, string>> = {
  gnu: "glibc",
  gnueabihf: "glibc",
  musl: "musl",
  musleabihf: "musl",
};
const EXACT_VERSION = /^\d+\.\d+\.\d+(?:[-+][\w.-]+)?$/;

/** Built from the name, which by custom ends in os, cpu and libc: `@oxlint/binding-linux-arm-musleabihf`. */
export function platformEntry(wanted: MissingPackage, parent: LockEntry | undefined): LockEntry {
  if (!EXACT_VERSION.test(wanted.version)) {
    throw new Error(`${wanted.name} is wanted as "${wanted.version}", no exact version: add its lock entry by hand`);
  }
  const words = wanted.name.split(/[/-]/);
  const os = words.find((word) => OS_NAMES.includes(word));
  const cpu = words.find((word) => CPU_NAMES.includes(word));
  if (os === undefined || cpu === undefined) {
    throw new Error(`the name ${wanted.name} does not tell its platform: add its lock entry by hand`);
  }
  const libc = os === "linux" ? words.map((word) => LIBC_SUFFIX[word]).find((name) => name !== undefined) : undefined;
  return {
    version: wanted.version,
    cpu: [cpu],
    ...(parent?.dev === true && { dev: true }),
    ...(libc !== undefined && { libc: [libc] }),
    ...(parent?.license !== undefined && { license: parent.license }),
    optional: true,
    os: [os],
  };
}
