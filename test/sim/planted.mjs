// Plants known bugs into a copy of the build, one at a time, and tells which tests of test/sim notice.
//
//   node test/sim/planted.mjs [part of a bug's name]
//
// Exit code 1: a bug was not noticed, or the place to plant it was not found (then its pattern needs an update).
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** Each changes one built file; `from` must be there exactly once, or is a pattern. */
const BUGS = [
  {
    name: 'skip one CRC check',
    file: 'segment-store/recovery.js',
    from: 'checkCrc: true',
    to: 'checkCrc: false',
  },
  {
    name: 'publish an index entry past the log',
    file: 'segment-store/segment.js',
    from: 'this.offsetIndex.append(last, position)',
    to: 'this.offsetIndex.append(last, position + size)',
  },
  {
    name: 'swap before sync',
    file: 'segment-store/disk.js',
    from: 'await file.sync();',
    to: '',
  },
  {
    name: 'swap before sync (compaction)',
    file: 'segment-store/cleaned-file.js',
    from: 'await this.file.sync();',
    to: '',
  },
  {
    name: "forget the parent directory's sync (small files)",
    file: 'segment-store/disk.js',
    from: /await disk\.syncDirectory\([^;]*;/,
    to: '',
  },
  {
    name: "forget the parent directory's sync (segments)",
    file: 'segment-store/log-writer.js',
    from: /await disk\.syncDirectory\([^;]*;/,
    to: '',
  },
  {
    name: "forget the parent directory's sync (segments that compaction swaps in)",
    file: 'segment-store/swap.js',
    from: /await disk\.syncDirectory\([^;]*;/g,
    to: '',
  },
  {
    name: 'compact beyond what is synced',
    file: 'segment-store/cleaner.js',
    from: 'await log.sync();',
    to: '',
  },
  {
    name: 'drop the newest record of a key',
    file: 'segment-store/cleaning.js',
    from: 'return offset >= map.get(',
    to: 'return offset > map.get(',
  },
  {
    name: 'delete a segment before the checkpoint',
    file: 'segment-store/shortening.js',
    from: /await log\.startMoved\(\);\n(\s*if \(log\.epochs\.truncateFromStart[\s\S]*?)return await deleteSegmentsBelowStart\(log\);/,
    to: '$1const count = await deleteSegmentsBelowStart(log);\n    await log.startMoved();\n    return count;',
  },
]

/** A copy of the build with a bug in it, beside the packages and the files that tests read. */
function plant({ file, from, to }) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ottla-planted-'))
  fs.cpSync('dist', path.join(root, 'dist'), { recursive: true })
  fs.symlinkSync(path.resolve('node_modules'), path.join(root, 'node_modules'))
  fs.copyFileSync('package.json', path.join(root, 'package.json'))
  fs.mkdirSync(path.join(root, 'test', 'sim'), { recursive: true })
  fs.copyFileSync('test/sim/seeds.txt', path.join(root, 'test/sim/seeds.txt'))
  const target = path.join(root, 'dist', file)
  const text = fs.readFileSync(target, 'utf8')
  const places =
    typeof from === 'string' ? text.split(from).length - 1 : text.search(from) < 0 ? 0 : 1
  if (places !== 1) throw new Error(`${file} has ${places} places for ${from}`)
  fs.writeFileSync(target, text.replace(from, to))
  return root
}

/** Names of the tests that fail. */
function noticing(root) {
  const folder = path.join(root, 'dist', 'test', 'sim')
  const files = fs.readdirSync(folder).filter(name => name.endsWith('.test.js'))
  // Otherwise a run inside of another test run would do nothing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const { stdout } = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=tap', ...files.map(name => path.join(folder, name))],
    { cwd: root, encoding: 'utf8', env: { ...env, OTTLA_TIER: 'unit' }, maxBuffer: 1 << 28 },
  )
  if (!/^# tests [1-9]/m.test(stdout)) throw new Error('no test has run')
  return [...stdout.matchAll(/^\s*not ok \d+ - (.*)$/gm)]
    .map(([, name]) => name)
    .filter(name => !name.endsWith('.js'))
}

const [part = ''] = process.argv.slice(2)
let missed = 0
for (const bug of BUGS.filter(({ name }) => name.includes(part))) {
  const root = plant(bug)
  const names = noticing(root)
  fs.rmSync(root, { recursive: true, force: true })
  if (names.length === 0) missed++
  console.log(`${bug.name}: ${names.length === 0 ? 'NOT NOTICED' : 'noticed by'}`)
  for (const name of names) console.log(`  ${name}`)
}
process.exitCode = missed === 0 ? 0 : 1
