set pagination off
set confirm off
set debuginfod enabled off
break stop_here
run
up
print port
print refused
print done
print full
print error
print key
print part
print by_reference
print read
continue
