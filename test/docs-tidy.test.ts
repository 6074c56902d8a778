/**
 * The tables of README.md, ARCHITECTURE.md and of the documents in the rooms say what the code says. Tables between `<!-- begin: x -->` and
 * `<!-- end: x -->` are made from the code's own tables: UPDATE=1 writes them anew (`UPDATE=1 npm run test:tidy`), to be
 * reviewed as a diff. The others are written by hand and checked for names that do not exist, and for names left out.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { brokerSettings, workingSettings } from '../broker/config.ts'
import { metricFamilies } from '../broker/metric-families.ts'
import { hiddenSettings } from '../broker/settings/ignored.ts'
import { clientMetricFamilies } from '../client/client-metrics.ts'
import { topicSettings } from '../segment-store/config.ts'
import { defaultText, type Setting } from '../segment-store/setting.ts'

const README = 'README.md'
const SETTINGS = 'broker/SETTINGS.md'
const METRICS = 'broker/METRICS.md'
const CLIENT_METRICS = 'client/METRICS.md'
const ARCHITECTURE = 'ARCHITECTURE.md'

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

const code = (text: string) => `\`${text}\``
const byName = ([a]: readonly [string, Setting], [b]: readonly [string, Setting]) =>
  a < b ? -1 : 1

/** Compares what stands between the marks of `name` with `expected`, or puts it there. */
function checkSection(document: string, name: string, expected: string): void {
  const text = readFileSync(document, 'utf8')
  const [begin, end] = [`<!-- begin: ${name} -->\n`, `<!-- end: ${name} -->`]
  const from = text.indexOf(begin) + begin.length
  const to = text.indexOf(end)
  assert.ok(from >= begin.length && to >= from, `${document} has no section '${name}'`)
  const actual = text.slice(from, to)
  const wanted = `\n${expected}\n\n`
  if (actual === wanted) return
  if (process.env['UPDATE'] === '1') {
    return writeFileSync(document, text.slice(0, from) + wanted + text.slice(to))
  }
  assert.equal(actual, wanted, `${document}, '${name}': UPDATE=1 npm run test:tidy writes it anew`)
}

test("the table of settings is the broker's", () => {
  const shownDefault = (setting: Setting) => {
    const text = defaultText(setting)
    if (text === null) return 'not set'
    return text === '' ? 'empty' : code(text)
  }
  const rows = Object.entries<Setting>(workingSettings)
    .filter(([, { ignored }]) => ignored === null)
    .sort(byName)
    .map(([name, setting]) => [code(name), shownDefault(setting), setting.doc ?? ''])
  checkSection(SETTINGS, 'settings', table(['Setting', 'Default', 'What it does'], rows))
})

test("the table of settings without effect is the broker's", () => {
  const groups = new Map<string, string[]>()
  for (const [name, { ignored }] of [...brokerSettings].sort(byName)) {
    if (ignored === null || Object.hasOwn(hiddenSettings, name)) continue
    groups.set(ignored, [...(groups.get(ignored) ?? []), name])
  }
  const rows = [...groups].map(([because, names]) => {
    const rest = names.length - 2
    const shown = names.slice(0, 2).map(code).join(', ')
    return [because, rest > 0 ? `${shown} and ${rest} more` : shown]
  })
  checkSection(SETTINGS, 'settings without effect', table(['Because …', 'Settings'], rows))
})

test("the table of metrics is the broker's", () => {
  const rows = metricFamilies.map(({ name, type, labels, help }) => [
    code(name),
    type,
    labels.map(code).join(', '),
    help,
  ])
  checkSection(METRICS, 'metrics', table(['Metric', 'Type', 'Labels', 'What it is'], rows))
})

test("the table of the client's metrics is the client's", () => {
  const rows = clientMetricFamilies.map(({ name, type, labels, help, java }) => [
    code(name),
    type,
    labels.map(code).join(', '),
    help,
    java,
  ])
  const head = ['Metric', 'Type', 'Labels', 'What it is', 'In Java']
  checkSection(CLIENT_METRICS, 'client metrics', table(head, rows))
})

/** The tiers as `test/tiers.ts` writes them: the module itself tells only of the tier it runs in. */
function readTiers(): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const source = readFileSync('test/tiers.ts', 'utf8')
  const tiers = new Map<string, ReadonlyMap<string, string>>()
  for (const [, name, body] of source.matchAll(/^ {2}(\w+): \{\n([^}]*)\}/gm)) {
    const fields = [...body!.matchAll(/^ {4}(\w+): ([\d_.]+),$/gm)]
    tiers.set(name!, new Map(fields.map(([, field, value]) => [field!, value!])))
  }
  return tiers
}

test("the README's table of test tiers is that of test/tiers.ts", () => {
  const tiers = readTiers()
  assert.deepEqual([...tiers.keys()], ['unit', 'tidy', 'e2e', 'soak'])
  const fields = [...tiers.get('unit')!.keys()]
  const shown = (value: string | undefined) =>
    Number((value ?? '').replaceAll('_', '')).toLocaleString('en-US')
  const rows = fields.map(field => [
    code(field),
    ...['unit', 'e2e', 'soak'].map(tier => shown(tiers.get(tier)!.get(field))),
  ])
  const head = ['How much', '`npm test`', '`npm run e2e`', '`npm run soak`']
  checkSection(README, 'tiers', table(head, rows))
})

test('limits and settings that the README names exist', () => {
  const text = readFileSync(README, 'utf8')
  const wrong: string[] = []
  for (const [, name, path] of text.matchAll(/`([A-Z][A-Z_]+)` in `([\w/-]+\.ts)`/g)) {
    const isThere =
      existsSync(path!) && new RegExp(`\\b${name}\\b`).test(readFileSync(path!, 'utf8'))
    if (!isThere) wrong.push(`${name} in ${path}`)
  }
  const limits = text.slice(text.indexOf('\n## Settings'), text.indexOf('\n## Metrics'))
  const known = (name: string) =>
    brokerSettings.has(name) || Object.hasOwn(topicSettings, name) || name === 'server.properties'
  for (const [, name] of limits.matchAll(/`([a-z]+(?:\.[a-z]+)+)`/g)) {
    if (!known(name!)) wrong.push(`setting ${name}`)
  }
  assert.deepEqual(wrong, [])
})

test('commands that the README and ARCHITECTURE name exist', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    scripts: Record<string, string>
  }
  const wrong: string[] = []
  for (const document of [README, ARCHITECTURE]) {
    const text = readFileSync(document, 'utf8')
    for (const [, script] of text.matchAll(/npm run (?:--silent )?([\w:-]+)/g)) {
      if (scripts[script!] === undefined) wrong.push(`${document}: npm run ${script}`)
    }
  }
  assert.deepEqual(wrong, [])
})

/** One file for each API stands in these: the layout names the folder. */
const PER_API = /^(broker\/api|protocol\/messages)\//

function filesOf(room: string): string[] {
  return readdirSync(room, { recursive: true, encoding: 'utf8' })
    .map(path => path.replaceAll('\\', '/'))
    .filter(path => path.endsWith('.ts') && !PER_API.test(join(room, path)))
}

test('the layout in ARCHITECTURE names every source file, and no other', () => {
  const text = readFileSync(ARCHITECTURE, 'utf8')
  const wrong: string[] = []
  for (const room of ['protocol', 'segment-store', 'broker', 'client', 'cli']) {
    const section = text.split(`\n### ${room}/`)[1]?.split(/\n##/)[0] ?? ''
    const rows = section.split('\n').filter(line => line.startsWith('| `'))
    const named = rows.flatMap(row =>
      [...row.split(' | ')[0]!.matchAll(/`([\w./-]+\.ts)`/g)].map(([, path]) => path!),
    )
    const files = filesOf(room)
    for (const file of files) if (!named.includes(file)) wrong.push(`not named: ${room}/${file}`)
    for (const file of named) if (!files.includes(file)) wrong.push(`not there: ${room}/${file}`)
  }
  assert.deepEqual(wrong, [])
})

test('every dependency has its decision in ARCHITECTURE', () => {
  const decisions = readFileSync(ARCHITECTURE, 'utf8').split('\n## Decisions')[1] ?? ''
  const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    dependencies: Record<string, string>
    devDependencies: Record<string, string>
  }
  const missing = Object.keys({ ...dependencies, ...devDependencies }).filter(
    name => !decisions.includes(code(name)),
  )
  assert.deepEqual(missing, [])
})

test('the changelog has the version of package.json, in the five sections', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  const changelog = readFileSync('CHANGELOG.md', 'utf8')
  const entry = changelog.split(`\n## ${version}`)[1]?.split('\n## ')[0]
  assert.ok(entry !== undefined, `CHANGELOG.md says nothing of ${version}`)
  const titles = [...entry.matchAll(/^### (.+)$/gm)].map(([, title]) => title)
  const storage = ['Safety', 'Wire', 'Storage', 'Performance']
  assert.deepEqual(titles, [...storage, 'Client', 'Command line', 'Internals'])
})
