// Light or dark: as the system says, unless someone chose here.

const KEY = "softstore-theme";
const SYSTEM = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

export function theme() {
  return root.dataset.theme ?? (SYSTEM.matches ? "dark" : "light");
}

/** Calls `onChange(theme)` whenever it changes. */
export function initTheme(button, onChange) {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  const tell = () => {
    const other = theme() === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Switch to ${other} colours`);
    onChange(theme());
  };
  SYSTEM.addEventListener("change", tell);
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, root.dataset.theme);
    tell();
  });
  tell();
}
