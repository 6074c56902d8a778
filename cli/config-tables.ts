/** What `ottla config describe` prints. */
import { CONFIG_SOURCES, type ConfigEntry, type ResourceConfigs } from '../client/admin.ts'

export function describeConfigsText(
  { type, name, configs }: ResourceConfigs,
  hasDocumentation: boolean,
): string {
  const who = name === '' ? `All ${type}s` : `${type[0]!.toUpperCase()}${type.slice(1)} ${name}`
  if (configs.length === 0) return `${who}: all default\n`
  const lines = [`${who}:`]
  for (const config of byName(configs)) {
    const value = config.isSensitive ? '(hidden)' : (config.value ?? '(not set)')
    lines.push(`  ${config.name}=${value}  (${sourceOf(config)})`)
    const { documentation } = config
    if (hasDocumentation && documentation !== null) lines.push(`      ${plain(documentation)}`)
  }
  return `${lines.join('\n')}\n`
}

export function describeConfigsJson({ type, name, configs }: ResourceConfigs) {
  const entries = byName(configs).map(config => {
    const { value, readOnly, documentation } = config
    const meaning = documentation === null ? {} : { documentation }
    return [config.name, { value, source: sourceOf(config), readOnly, ...meaning }] as const
  })
  return { type, name, configs: Object.fromEntries(entries) }
}

export function sourceOf({ configSource }: Pick<ConfigEntry, 'configSource'>): string {
  const names: Readonly<Record<number, string>> = CONFIG_SOURCES
  return names[configSource] ?? `source ${configSource}`
}

function byName(configs: readonly ConfigEntry[]): ConfigEntry[] {
  return [...configs].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Kafka's documentation has some HTML in it. */
function plain(text: string): string {
  return text
    .replace(/<[^>]*>/g, '')
    .replace(/\s+/g, ' ')
    .trim()
}
