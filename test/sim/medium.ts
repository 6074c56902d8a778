/**
 * What a disk and the kernel in front of it hold: for every file the bytes that programs see and those that were synced,
 * for every directory the names that programs see and those that were synced. `afterCrash` answers what a power cut
 * leaves of it.
 *
 * Every change is a `Mutation`, so that a recorded run can be played again up to any byte of it.
 *
 *   synced     everything a sync has promised
 *   unsynced   of each 512-byte sector the old or the new contents; of the file's end anything between old and new;
 *              of each name of a directory the old or the new meaning (a rename within a directory is one change)
 */
import assert from 'node:assert/strict'

const SECTOR_BYTES = 512

export type Mutation =
  | { readonly kind: 'create'; readonly path: string; readonly id: number }
  | {
      readonly kind: 'write'
      readonly id: number
      readonly position: number
      readonly bytes: Buffer
    }
  | { readonly kind: 'truncate'; readonly id: number; readonly size: number }
  | { readonly kind: 'sync'; readonly id: number }
  | { readonly kind: 'makeDirectory'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'syncDirectory'; readonly path: string }

/** How much of what was not synced is there after a crash. */
export type CrashMode = 'lost' | 'kept' | 'in order' | 'torn'
export const CRASH_MODES: readonly CrashMode[] = ['lost', 'kept', 'in order', 'torn']

export class FileNode {
  readonly id: number
  bytes: Buffer
  size: number
  synced: Buffer
  modifiedMs = 0

  constructor(id: number, synced: Buffer = Buffer.alloc(0)) {
    this.id = id
    this.synced = synced
    this.bytes = Buffer.from(synced)
    this.size = synced.length
  }

  get contents(): Buffer {
    return this.bytes.subarray(0, this.size)
  }

  write(position: number, bytes: Buffer): void {
    const end = position + bytes.length
    if (end > this.bytes.length) {
      const grown = Buffer.alloc(Math.max(1024, this.bytes.length * 2, end))
      this.contents.copy(grown)
      this.bytes = grown
    }
    if (position > this.size) this.bytes.fill(0, this.size, position)
    this.bytes.set(bytes, position)
    this.size = Math.max(this.size, end)
  }
}

interface Change {
  readonly sequence: number
  readonly names: readonly (readonly [string, Node | null])[]
}

export class DirectoryNode {
  readonly entries = new Map<string, Node>()
  readonly synced = new Map<string, Node>()
  pending: Change[] = []
}

export type Node = FileNode | DirectoryNode

export class Medium {
  readonly root = new DirectoryNode()
  private readonly files = new Map<number, FileNode>()
  private changes = 0
  private ids = 0

  newId(): number {
    this.ids += 1
    return this.ids
  }

  apply(mutation: Mutation): void {
    switch (mutation.kind) {
      case 'create':
        return this.create(mutation.path, mutation.id)
      case 'write':
        return this.file(mutation.id).write(mutation.position, mutation.bytes)
      case 'truncate': {
        const file = this.file(mutation.id)
        file.size = Math.min(file.size, mutation.size)
        return
      }
      case 'sync': {
        const file = this.file(mutation.id)
        file.synced = Buffer.from(file.contents)
        return
      }
      case 'makeDirectory':
        return this.change(mutation.path, name => [[name, new DirectoryNode()]])
      case 'rename':
        return this.rename(mutation.from, mutation.to)
      case 'remove':
        return this.change(mutation.path, name => [[name, null]])
      case 'syncDirectory': {
        const directory = this.directory(mutation.path)
        for (const { names } of directory.pending) enter(directory.synced, names)
        directory.pending = []
      }
    }
  }

  private create(path: string, id: number): void {
    const file = new FileNode(id)
    this.files.set(id, file)
    this.ids = Math.max(this.ids, id)
    this.change(path, name => [[name, file]])
  }

  private rename(from: string, to: string): void {
    const node = this.find(from)
    assert(node !== null, `rename: no ${from}`)
    assert.equal(parentOf(from), parentOf(to), 'only renames within a directory are modelled')
    this.change(to, name => [
      [nameOf(from), null],
      [name, node],
    ])
  }

  private change(path: string, names: (name: string) => Change['names']): void {
    const directory = this.directory(parentOf(path))
    this.changes += 1
    const change = { sequence: this.changes, names: names(nameOf(path)) }
    enter(directory.entries, change.names)
    directory.pending.push(change)
  }

  file(id: number): FileNode {
    const file = this.files.get(id)
    assert(file !== undefined, `no file ${id}`)
    return file
  }

  find(path: string): Node | null {
    let node: Node = this.root
    for (const name of path.split('/').slice(1)) {
      if (!(node instanceof DirectoryNode)) return null
      const next: Node | undefined = node.entries.get(name)
      if (next === undefined) return null
      node = next
    }
    return node
  }

  directory(path: string): DirectoryNode {
    const node = path === '' ? this.root : this.find(path)
    if (node instanceof DirectoryNode) return node
    throw Object.assign(new Error(`ENOENT: no directory ${path}`), { code: 'ENOENT' })
  }

  /** What is there after a power cut; this medium stays as it is. */
  afterCrash(mode: CrashMode, random: () => number): Medium {
    const left = new Medium()
    left.ids = this.ids
    const upTo = Math.floor(random() * (this.changes + 1))
    const copy = (from: DirectoryNode, into: DirectoryNode) => {
      const entries = new Map(from.synced)
      for (const { names } of survivors(from.pending, mode, upTo, random)) enter(entries, names)
      for (const [name, node] of entries) {
        const survived =
          node instanceof FileNode
            ? left.adopt(new FileNode(node.id, leftOf(node, mode, random)), node.modifiedMs)
            : new DirectoryNode()
        into.entries.set(name, survived)
        into.synced.set(name, survived)
        if (node instanceof DirectoryNode) copy(node, survived as DirectoryNode)
      }
    }
    copy(this.root, left.root)
    return left
  }

  private adopt(file: FileNode, modifiedMs: number): FileNode {
    file.modifiedMs = modifiedMs
    this.files.set(file.id, file)
    return file
  }
}

function enter(entries: Map<string, Node>, names: Change['names']): void {
  for (const [name, node] of names) {
    if (node === null) entries.delete(name)
    else entries.set(name, node)
  }
}

/** Which of a directory's unsynced changes the medium has. */
function survivors(
  pending: readonly Change[],
  mode: CrashMode,
  upTo: number,
  random: () => number,
): readonly Change[] {
  if (mode === 'lost') return []
  if (mode === 'kept') return pending
  if (mode === 'in order') return pending.filter(({ sequence }) => sequence <= upTo)
  // Changes of different names come in any order, those of one name in theirs.
  const behind = new Set<string>()
  return pending.filter(({ names }) => {
    if (random() < 0.5 && names.every(([name]) => !behind.has(name))) return true
    for (const [name] of names) behind.add(name)
    return false
  })
}

function leftOf(file: FileNode, mode: CrashMode, random: () => number): Buffer {
  const { synced, contents } = file
  if (synced.equals(contents)) return synced
  if (mode === 'lost') return synced
  if (mode === 'kept') return Buffer.from(contents)
  const dice = random()
  if (dice < 0.2) return synced
  if (dice < 0.4) return Buffer.from(contents)
  const least = Math.min(synced.length, contents.length)
  const most = Math.max(synced.length, contents.length)
  const size = least + Math.floor(random() * (most - least + 1))
  // An append of which the front arrived.
  if (dice < 0.6) return Buffer.from(contents.subarray(0, size))
  const torn = Buffer.alloc(size)
  for (let at = 0; at < size; at += SECTOR_BYTES) {
    const source = random() < 0.5 ? synced : contents
    source.copy(torn, at, Math.min(at, source.length), Math.min(at + SECTOR_BYTES, size))
  }
  return torn
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
