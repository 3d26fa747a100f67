# files of control
