/**
 * `ottla broker --print-config`: every setting, its value, where that comes from and what it is for; those that were
 * given come first, then those that work, then those that are accepted without effect.
 */
import { type BrokerConfig, brokerSettings, effectiveText } from '../broker/config.ts'
import { hiddenSettings } from '../broker/settings/ignored.ts'
import { documentation, type Setting } from '../segment-store/setting.ts'

const WIDTH = 96

interface Row {
  readonly name: string
  readonly setting: Setting
}

/** Writes the settings in force as text, a few lines for each. */
export function printConfig(config: BrokerConfig, write: (text: string) => void): void {
  const rows: Row[] = [...brokerSettings]
    .filter(([name]) => config.given.has(name) || !Object.hasOwn(hiddenSettings, name))
    .map(([name, setting]) => ({ name, setting }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const isGiven = ({ name }: Row) => config.given.has(name)
  const works = ({ setting }: Row) => setting.ignored === null
  section('Given', rows.filter(isGiven), config, write)
  section(
    'By default',
    rows.filter(row => !isGiven(row) && works(row)),
    config,
    write,
  )
  section(
    'By default, without effect',
    rows.filter(row => !isGiven(row) && !works(row)),
    config,
    write,
  )
}

function section(
  title: string,
  rows: readonly Row[],
  config: BrokerConfig,
  write: (text: string) => void,
): void {
  if (rows.length === 0) return
  write(`# ${title}\n\n`)
  for (const { name, setting } of rows) {
    const origin = config.given.get(name)?.origin ?? 'default'
    const mark = setting.ignored === null ? '' : ', no effect'
    write(`${name}=${shownValue(config, name, setting)}  (${origin}${mark})\n`)
    for (const line of wrap(documentation(setting), WIDTH - 4)) write(`    ${line}\n`)
    if (setting.valid !== null && setting.valid.text !== '') {
      write(`    Valid: ${setting.valid.text}\n`)
    }
    write('\n')
  }
}

function shownValue(config: BrokerConfig, name: string, setting: Setting): string {
  const value = effectiveText(config, name)
  if (value === null) return ''
  return setting.type === 'PASSWORD' ? '[hidden]' : value
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  if (line !== '') lines.push(line)
  return lines
}
