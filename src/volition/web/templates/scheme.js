// Light or dark: as the system says, unless somebody chose. Loaded before the page is drawn.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = localStorage.getItem("volition-scheme");
  if (chosen === "light" || chosen === "dark") root.dataset.scheme = chosen;
  const isDark = () => (root.dataset.scheme ? root.dataset.scheme === "dark" : dark.matches);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("scheme").addEventListener("click", () => {
      root.dataset.scheme = isDark() ? "light" : "dark";
      localStorage.setItem("volition-scheme", root.dataset.scheme);
    });
  });
})();
