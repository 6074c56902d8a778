/** Descriptors are bounded, and no file notices: they go and come back between two operations. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import type { File } from '../../segment-store/disk.ts'
import { FileHandles, type HandleOwner, handlesFor } from '../../segment-store/file-handles.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'
import { chooseSeed, seededRandom } from '../tiers.ts'

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ottla-handles-'))
after(() => fs.rmSync(root, { recursive: true, force: true }))

/** Room for 16 open files, the smallest that there is. */
const smallDisk = () => new SystemDisk(32)

function descriptors(): number | null {
  return fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : null
}

test('half of what the process may open is for files, within bounds', () => {
  assert.equal(handlesFor(1024), 512)
  assert.equal(handlesFor(0), 16)
  assert.equal(handlesFor(31), 16)
  assert.equal(handlesFor(34), 17)
  assert.equal(handlesFor(32_766), 16_383)
  assert.equal(handlesFor(1_048_576), 16_384)
})

test('many files are written and read in any order through few descriptors', async () => {
  const seed = chooseSeed()
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  const disk = smallDisk()
  const before = descriptors()
  const files: File[] = []
  const contents: Buffer[] = []
  for (let i = 0; i < 100; i++) {
    files.push(disk.createSync(`${root}/${i}.log`))
    contents.push(Buffer.alloc(0))
  }
  for (let step = 0; step < 3000; step++) {
    const i = Math.floor(random() * files.length)
    const file = files[i]!
    const kind = random()
    if (kind < 0.5) {
      const bytes = Buffer.from(`${step},`)
      await file.append([bytes])
      contents[i] = Buffer.concat([contents[i]!, bytes])
    } else if (kind < 0.6) await file.sync()
    else if (kind < 0.65) {
      const size = Math.floor(random() * (contents[i]!.length + 1))
      await file.truncate(size)
      contents[i] = contents[i]!.subarray(0, size)
    } else {
      const into = Buffer.alloc(contents[i]!.length)
      const count = kind < 0.8 ? file.readSync(0, into) : await file.read(0, into)
      assert.equal(count, into.length)
      assert.deepEqual(into, contents[i])
    }
    assert(disk.handles.count <= 16, `${disk.handles.count} descriptors`)
  }
  const now = descriptors()
  if (before !== null && now !== null) assert(now - before <= 16, `${now - before} descriptors`)
  for (const file of files) await file.close()
  assert.equal(disk.handles.count, 0)
  assert.equal(descriptors(), before)
})

test('operations under way keep their descriptor', async () => {
  const disk = smallDisk()
  const files = Array.from({ length: 60 }, (_, i) => disk.createSync(`${root}/busy-${i}`))
  for (const [i, file] of files.entries()) await file.append([Buffer.from(String(i % 10))])
  const into = files.map(() => Buffer.alloc(1))
  const reads = files.map((file, i) => file.read(0, into[i]!))
  await Promise.all(reads)
  assert.deepEqual(
    into.map(String),
    files.map((_, i) => String(i % 10)),
  )
  // They were all busy at once, so the limit was passed; it is kept again from here on.
  await files[0]!.read(0, into[0]!)
  disk.createSync(`${root}/one-more`)
  assert(disk.handles.count <= 16)
})

test('a file that is renamed or removed is still the same file', async () => {
  const disk = smallDisk()
  fs.mkdirSync(`${root}/log-0`)
  const crowd = () => {
    for (let i = 0; i < 40; i++) disk.createSync(`${root}/crowd-${i}`)
  }
  const moved = disk.createSync(`${root}/log-0/a`)
  const removed = disk.createSync(`${root}/log-0/b`)
  const replaced = disk.createSync(`${root}/log-0/c`)
  const next = disk.createSync(`${root}/log-0/c.swap`)
  for (const [file, text] of [
    [moved, 'moved'],
    [removed, 'removed'],
    [replaced, 'replaced'],
    [next, 'next'],
  ] as const) {
    await file.append([Buffer.from(text)])
  }
  crowd()
  await disk.remove(`${root}/log-0/b`)
  await disk.rename(`${root}/log-0/c.swap`, `${root}/log-0/c`)
  crowd()
  await disk.rename(`${root}/log-0`, `${root}/log-0-delete`)
  crowd()
  const text = (file: File) => {
    const into = Buffer.alloc(file.size)
    file.readSync(0, into)
    return into.toString()
  }
  assert.deepEqual([moved, removed, replaced, next].map(text), [
    'moved',
    'removed',
    'replaced',
    'next',
  ])
  await disk.remove(`${root}/log-0-delete`)
  crowd()
  assert.equal(text(moved), 'moved')
  await assert.rejects(disk.rename(`${root}/none`, `${root}/nowhere`), { code: 'ENOENT' })
})

test('a file that is closed is not opened again', async () => {
  const disk = smallDisk()
  const file = disk.createSync(`${root}/closed`)
  await file.close()
  await file.close()
  assert.throws(() => file.readSync(0, Buffer.alloc(1)), /after it was closed/)
})

test('the hand takes what was not used lately, and unsynced files last', () => {
  const handles = new FileHandles(3)
  const taken: string[] = []
  const add = (name: string, isUnsynced: boolean, isPinned: boolean) => {
    const file: HandleOwner = {
      path: name,
      wasUsed: false,
      isUnsynced,
      isPinned,
      slot: -1,
      giveUpHandle() {
        taken.push(name)
        handles.gave(file)
      },
    }
    handles.makeRoom()
    handles.took(file)
    return file
  }
  add('unsynced', true, false)
  const hot = add('hot', false, false)
  add('cold', false, false)
  hot.wasUsed = true
  add('first', false, true)
  assert.equal(taken.length, 1)
  assert.notEqual(taken[0], 'unsynced')
  add('second', false, true)
  assert(!taken.includes('unsynced'))
  add('third', false, true)
  assert.deepEqual(taken.at(-1), 'unsynced')
  assert.equal(handles.takeOne(), false)
  assert.equal(handles.count, 3)
})

/** Run where a process may open few files: takes all that are left, then uses the disk. */
const WITHOUT_DESCRIPTORS = `
import fs from 'node:fs'
const { SystemDisk } = await import(process.argv[1])
const root = process.argv[2]
const disk = new SystemDisk()
const files = ['a', 'b'].map(name => disk.createSync(root + '/' + name))
for (const file of files) file.append([Buffer.from('one')])
for (;;) {
  try { fs.openSync('/dev/null') } catch (error) { console.log(error.code); break }
}
const step = async (name, run) => console.log(name, await run().then(() => 'ok', error => error.code))
await step('directory', () => disk.syncDirectory(root))
await step('third', () => disk.open(root + '/c', { create: true }))
for (const file of files) {
  await step('append', async () => { await file.append([Buffer.from('two')]) })
  await step('sync', () => file.sync())
}
await step('directory', () => disk.syncDirectory(root))
console.log(files.map(file => { const read = Buffer.alloc(6); file.readSync(0, read); return read.toString() }).join(' '))
process.exit(0) // the loader may wait for descriptors
`

test('a process that has no descriptor left opens files and syncs directories with one of its own', {
  skip: process.platform === 'win32' && 'ulimit is of the shell',
}, async () => {
  const directory = fs.mkdtempSync(`${root}/none-left-`)
  const disk = new URL('../../segment-store/system-disk.js', import.meta.url).href
  const { stdout } = await promisify(execFile)('sh', [
    ...['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath],
    ...['--input-type=module', '--eval', WITHOUT_DESCRIPTORS, disk, directory],
  ])
  const expected =
    'EMFILE|directory ok|third ok|append ok|sync ok|append ok|sync ok|directory ok|onetwo onetwo'
  assert.equal(stdout.trim().replaceAll('\n', '|'), expected)
})
