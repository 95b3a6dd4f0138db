# Completes bodywork and bw in bash 3.2 and newer, by asking the tool. Where the tool offers nothing, file names are.
# It needs nothing else, may be read twice, and evaluates nothing that was typed.
__bodywork_complete() {
  local line=${COMP_LINE:0:COMP_POINT} words current value description
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current=${words[${#words[@]} - 1]}
  COMPREPLY=()
  while IFS=$'\t' read -r value description; do
    # To bash what follows a `=` is a word of its own. The line that begins with a colon is for other shells.
    [[ $value != :* && $value == "${current#--*=}"* ]] && COMPREPLY+=("$value")
  done < <(bodywork complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -F __bodywork_complete bodywork bw
