/** Access to the elements of the page by id. */

/** Return an element of the page; its id must exist in index.html. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

export function show(id: string, shown: boolean): void {
  element(id).hidden = !shown;
}

/** Create an element with attributes and content. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<Record<string, string>> = {},
  ...content: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...content);
  return made;
}

/** Return the coloured dot of an emotion, which stands beside its name. */
export function dot(emotion: string): HTMLElement {
  return make("span", { class: `emotion of-${emotion}`, "aria-hidden": "true" });
}

/** Return text that says between which emotions an uncertain estimate is. */
export function unsure(start: string, emotions: readonly string[]): (Node | string)[] {
  const named = emotions.flatMap((emotion, i) => [
    i ? " or " : "",
    make("span", { class: "together" }, dot(emotion), emotion),
  ]);
  return [`${start}: `, ...named];
}

/** Return the legend below a timeline. */
export function legendOf(
  emotions: readonly string[],
  patterns: Readonly<Record<string, string>>,
): HTMLElement {
  const entries: [kind: string, text: string][] = [
    ...emotions.map((emotion): [string, string] => [emotion, emotion]),
    ...Object.entries(patterns),
  ];
  const spans = entries.map(([kind, text]) =>
    make("span", {}, make("i", { class: `of-${kind}` }), text),
  );
  return make("p", { class: "legend" }, ...spans);
}

/** Show a status text, which a screen reader announces. */
export function say(text: string): void {
  announce(text);
  element("status").classList.remove("hidden");
}

/** Have a screen reader say what the page shows elsewhere. */
export function announce(text: string): void {
  const status = element("status");
  if (status.textContent !== text) status.textContent = text;
  status.classList.add("hidden");
}
