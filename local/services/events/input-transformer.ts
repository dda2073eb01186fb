/** How a rule makes the input of a target from an event. */
export interface InputTransformer {
  readonly InputPathsMap?: Readonly<Record<string, string>>;
  readonly InputTemplate: string;
}

/**
 * Compiles a transformer whose template is lines of quoted text, as the templates use. Each placeholder is replaced by
 * the text at its path; nothing where there is none. The quotes around a line stay.
 * @throws Error for a path with an array, and for a template of another form
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
 */
export function compileInputTransformer({ InputPathsMap = {}, InputTemplate }: InputTransformer) {
  const lines = InputTemplate.split('\n');
  if (!lines.every((line) => /^".*"$/.test(line))) {
    throw new Error(`the local runtime knows input templates of quoted lines, not ${JSON.stringify(InputTemplate)}`);
  }
  for (const path of Object.values(InputPathsMap)) {
    if (!/^\$(\.[\w-]+)+$/.test(path)) throw new Error(`the local runtime does not know the input path ${path}`);
  }
  return (event: string): string => {
    const parsed: unknown = JSON.parse(event);
    return InputTemplate.replaceAll(/<([\w-]+)>/g, (_, name: string) => textAt(parsed, InputPathsMap[name] ?? ''));
  };
}

function textAt(event: unknown, path: string): string {
  const value = path
    .split('.')
    .slice(1)
    .reduce<unknown>((inner, key) => (Object(inner) as Record<string, unknown>)[key], event);
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
